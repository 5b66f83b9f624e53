"""Pairs of clusters, sparse: only those that can have an affinity are kept.

Pair ``p`` has two ends, the items ``2p`` and ``2p + 1``; ``item ^ 1`` is the other end. Every cluster has a linked
list of its items, and a hash table finds the pair of two clusters. Merging rewrites the ends in the shorter of two
lists, so over a whole tree an item moves O(log n) times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustlib.compiled import njit

NONE = -1


class Links(NamedTuple):
    """
    Attributes
    ----------
    end : (2P,) int32
        Cluster of each item; NONE once the pair is gone.
    weight : (2P, F) float64
        What the linkage adds up about (this end; other end), unnormalised: for GDL, S(this; other).
    next : (2P,) int32
        Next item of the same cluster. Lists may hold items of pairs that are gone.
    first, degree : (C,) int32
        First item, and length of the list.
    candidate : (2P,) bool
        Whether this end has the other among its candidates; a pair counts if either has.
    key, pair : (H,) int64, int32
        Open addressing from both clusters to their pair. Outdated keys stay until the next ``rehash``.
    made : (3,) int64
        Pairs ever made, keys in the table, and whether a new pair counts.
    """

    end: np.ndarray
    weight: np.ndarray
    next: np.ndarray
    first: np.ndarray
    degree: np.ndarray
    candidate: np.ndarray
    key: np.ndarray
    pair: np.ndarray
    made: np.ndarray


def new_links(n_clusters: int, capacity: int, n_features: int = 1) -> Links:
    """No links yet, and room for ``capacity`` pairs."""
    table = 1 << int(4 * capacity + 16).bit_length()
    return Links(
        end=np.full(2 * capacity, NONE, np.int32),
        weight=np.zeros((2 * capacity, n_features)),
        next=np.empty(2 * capacity, np.int32),
        first=np.full(n_clusters, NONE, np.int32),
        degree=np.zeros(n_clusters, np.int32),
        candidate=np.empty(2 * capacity, np.bool_),
        key=np.full(table, NONE, np.int64),
        pair=np.empty(table, np.int32),
        made=np.array([0, 0, 1]),
    )


def grown(links: Links, capacity: int) -> Links:
    """The same links with room for ``capacity`` pairs."""
    new = new_links(len(links.first), capacity, links.weight.shape[1])
    for field in ("end", "weight", "next", "first", "degree", "candidate"):
        old = getattr(links, field)
        getattr(new, field)[: len(old)] = old
    new.made[:] = links.made
    rehash(new)
    return new


@njit()
def slot_of(keys, a, b):
    """Where the table has, or would have, the pair of clusters ``a`` and ``b``."""
    key = (np.int64(min(a, b)) << 32) | np.int64(max(a, b))
    mask = len(keys) - 1
    slot = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(24)) & mask
    while keys[slot] != key and keys[slot] != NONE:
        slot = (slot + 1) & mask
    return slot


@njit()
def enter(links, slot, a, b, pair):
    """Write the pair of ``a`` and ``b`` at its slot."""
    links.made[1] += links.key[slot] == NONE
    links.key[slot] = (np.int64(min(a, b)) << 32) | np.int64(max(a, b))
    links.pair[slot] = pair


@njit()
def pair_of(links, a, b):
    """The pair of ``a`` and ``b``, or NONE."""
    slot = slot_of(links.key, a, b)
    return links.pair[slot] if links.key[slot] != NONE else NONE


@njit()
def item_of(links, a, b):
    """The end at ``a`` of the pair of ``a`` and ``b``, which is made if there is none."""
    slot = slot_of(links.key, a, b)
    if links.key[slot] == NONE:
        pair = links.made[0]
        links.made[0] += 1
        enter(links, slot, a, b, pair)
        prepend(links, 2 * pair, a)
        prepend(links, 2 * pair + 1, b)
        links.candidate[2 * pair] = links.candidate[2 * pair + 1] = links.made[2] == 1
    pair = links.pair[slot]
    return 2 * pair if links.end[2 * pair] == a else 2 * pair + 1


@njit()
def prepend(links, item, c):
    """Make ``item`` an item of cluster ``c``."""
    links.end[item] = c
    links.next[item] = links.first[c]
    links.first[c] = item
    links.degree[c] += 1


@njit()
def cut_pair(end, pair):
    """Take a pair out; its items leave their lists when those are next read."""
    end[2 * pair] = end[2 * pair + 1] = NONE


@njit()
def tidy(links, c):
    """Drop from the list of ``c`` the items of pairs that are gone."""
    before, item = NONE, links.first[c]
    degree = 0
    while item != NONE:
        following = links.next[item]
        if links.end[item] == c:
            before = item
            degree += 1
        elif before == NONE:
            links.first[c] = following
        else:
            links.next[before] = following
        item = following
    links.degree[c] = degree


@njit()
def rehash(links):
    """Build the table anew from the pairs that are left."""
    links.key[:] = NONE
    links.made[1] = 0
    for pair in range(links.made[0]):
        a, b = links.end[2 * pair], links.end[2 * pair + 1]
        if a != NONE:
            enter(links, slot_of(links.key, a, b), a, b, pair)
