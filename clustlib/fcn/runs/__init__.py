"""The runs behind the FCN paper's tables and figures: each public function makes one record.

A function here takes a data set's and a method's name with a seed, and returns a dict of metrics and small arrays (see
:mod:`clustlib.records`). Notebooks call them through ``records.grid``. One module a subject.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["clustering", "cost", "defaults", "encoding", "protocol", "representations", "usage"]
)
