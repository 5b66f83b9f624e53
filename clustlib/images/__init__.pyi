from .clusters import assign as assign
from .clusters import cluster_folder as cluster_folder
from .folder import load_folder as load_folder
from .outcome import Outcome as Outcome
