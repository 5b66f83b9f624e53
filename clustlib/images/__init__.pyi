from .clusters import assign as assign
from .clusters import cluster_folder as cluster_folder
from .folder import load_folder as load_folder
from .number_of_clusters import Estimate as Estimate
from .number_of_clusters import estimate as estimate
from .outcome import Outcome as Outcome
