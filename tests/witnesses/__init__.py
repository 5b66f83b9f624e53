"""Small fixed runs that tell whether two revisions of clustlib compute the same bits.

Each is a function without arguments that returns NumPy arrays by name; together they go through every definition
that a record runs through on the CPU. clustlib is imported inside the functions alone, through :func:`find`, which
looks a name up wherever it stands: the same witnesses run on revisions that have moved it.

The data are made to be awkward: ties, duplicate rows, isolated points, clusters of exactly the sizes that a rule
looks at, constant columns, classes of very different sizes. A fault that no witness notices asks for another input.
"""

from witnesses import (
    classical,
    dbc_fits,
    deepcluster_fits,
    deepcluster_runs,
    diverging,
    downstream,
    edges,
    engine,
    factorised,
    fcn_runs,
    jule_fits,
    linkage,
    measures,
    narrow,
    odd_calls,
    own_images,
    refits,
    refusals,
    runs,
    scales,
    triplets,
)

_ROOMS = (
    *(measures, linkage, classical, triplets, jule_fits, factorised, dbc_fits, deepcluster_fits),
    *(runs, deepcluster_runs, fcn_runs, downstream, own_images, refusals, odd_calls, diverging, narrow, scales, refits),
    *(edges, engine),
)
WITNESSES = {name: witness for room in _ROOMS for name, witness in room.WITNESSES.items()}
