"""The runs that tables and figures share: each public function makes one record.

A function here takes a data set's and a method's name with a seed, and returns a dict of metrics
and small arrays (see :mod:`clustlib.records`). Notebooks call them through ``records.grid``. One
module a subject; what a paper's notebooks alone need is in the module of that paper.
"""

from clustlib.experiments import jule
from clustlib.experiments.pixels import cluster_pixels

__all__ = ["cluster_pixels", "jule"]
