"""The runs behind the DBC paper's tables and figures, and what they share. One module a subject.

A run function makes one record a call: it takes a data set's name, mostly with a method's and a seed, and returns a
dict of metrics and small arrays (see :mod:`clustlib.records`); it is called through ``records.run`` or
``records.grid``. The other public functions are what such runs are made of: trainings that several of them share,
parts of data sets, settings, and grids of runs for a notebook. ``python -m clustlib.records status`` lists the run
functions that have records.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["choices", "clustering", "figures", "layerwise", "peers", "pixels", "written"]
)
