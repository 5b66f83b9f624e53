from .dbc.estimator import DBC as DBC
from .dbc.features import FCAEFeatures as FCAEFeatures
from .deepcluster.estimator import DeepCluster as DeepCluster
from .fcn.estimator import FCN as FCN
from .fcn.gsnmf import GSNMF as GSNMF
from .jule.estimator import JULE as JULE

__version__: str
