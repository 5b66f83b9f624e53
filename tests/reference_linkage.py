"""Agglomerative linkage from the definitions of affinities, in float64 on dense matrices; for tests only."""

import numpy as np

from clustlib.jule.equations import cluster_affinity, exchanged_weight


def dense(graph):
    """The affinity matrix W (N, N) of a graph with fixed out-degree."""
    n = len(graph.indices)
    W = np.zeros((n, n))
    for i in range(n):
        for j, w in zip(graph.indices[i], graph.weights[i]):
            W[i, j] += w
    return W


def transition(W, self_loops):
    """P: W, with a unit diagonal or not, and rows that sum to one."""
    W = W + np.eye(len(W)) if self_loops else W
    total = W.sum(axis=1, keepdims=True)
    return np.divide(W, total, out=np.zeros_like(W), where=total > 0)


def path_affinity(P, A, B, z=0.01):
    """Conditional minus own path integral, both sides (Zhang, Zhao and Wang 2013)."""
    both = [*A, *B]
    G = np.linalg.inv(np.eye(len(both)) - z * P[np.ix_(both, both)])

    def own(C):
        return np.linalg.inv(np.eye(len(C)) - z * P[np.ix_(C, C)]).sum() / len(C) ** 2

    a, b = np.arange(len(A)), np.arange(len(A), len(both))
    return G[np.ix_(a, a)].sum() / len(A) ** 2 - own(A) + G[np.ix_(b, b)].sum() / len(B) ** 2 - own(B)


def zeta_affinity(P, A, B, z=0.01):
    """Conditional minus own zeta entropy, both sides (Zhao and Tang 2008)."""
    both = [*A, *B]

    def log_loops(C):
        return np.log(np.diag(np.linalg.inv(np.eye(len(C)) - z * P[np.ix_(C, C)])))

    joint = log_loops(both)
    a, b = joint[: len(A)], joint[len(A) :]
    return a.mean() - log_loops(A).mean() + b.mean() - log_loops(B).mean()


def agglomerate(labels0, affinity):
    """Merge the pair with the largest affinity down to one cluster; ties: lowest nodes.

    ``affinity(A, B)`` takes two lists of vertices. Returns children (C - 1, 2), heights (C - 1,), and the gap (C - 1,)
    between the best and the second best affinity at each step.
    """
    clusters = {int(c): list(np.flatnonzero(labels0 == c)) for c in np.unique(labels0)}
    n = len(clusters)
    table = {(c, d): affinity(clusters[c], clusters[d]) for c in clusters for d in clusters if c < d}
    children, heights, gaps = [], [], []
    for step in range(n - 1):
        ranked = sorted(table, key=lambda pair: (-table[pair], pair))[:2]
        c, d = ranked[0]
        children.append((c, d))
        heights.append(table[c, d])
        gaps.append(table[c, d] - table[ranked[1]] if len(ranked) > 1 else np.inf)
        merged = clusters.pop(c) + clusters.pop(d)
        table = {pair: value for pair, value in table.items() if not {c, d} & set(pair)}
        table |= {(e, n + step): affinity(clusters[e], merged) for e in clusters}
        clusters[n + step] = merged
    return np.array(children).reshape(-1, 2), np.array(heights), np.array(gaps)


def agglomerate_by_table(W, labels0, update="exact", k_c=1, weight=0.0, triangle=False):
    """GDL on the full table of S, updated after each merge as ``update`` says, with the criterion of Eq. (7).

    ``triangle`` is JULE.torch: clusters are columns; a cluster looks only at rows before it; the merged cluster keeps
    the lower place and the last one moves to the place of the other; no second term at 100 columns or fewer.
    Returns children and heights (the affinity of the merged pair).
    """
    members = [list(np.flatnonzero(labels0 == c)) for c in np.unique(labels0)]
    node, n = list(range(len(members))), len(members)
    S = np.array([[exchanged_weight(W, A, B) if A is not B else 0.0 for B in members] for A in members])
    children, heights = [], []
    for step in range(n - 1):
        size = np.array([len(A) for A in members], float)
        A = S / size[:, None] ** 2 + (S / size[:, None] ** 2).T
        best = None
        for j in range(len(members)):
            rows = [i for i in range(len(members)) if i != j and (i < j or not triangle)]
            rows.sort(key=lambda i: (-A[i, j], min(node[i], node[j]), max(node[i], node[j])))
            if not rows or A[rows[0], j] <= 0:
                continue
            top = np.zeros(max(k_c, 1))
            top[: min(k_c, len(rows))] = A[rows[:k_c], j]
            score = top[0]
            if k_c > 1 and not (triangle and len(members) <= 100):
                score += weight / (k_c - 1) * (top[0] - top[1:]).sum()
            low, high = sorted((node[rows[0]], node[j]))
            if best is None or (-score, low, high) < best[0]:
                best = (-score, low, high), min(rows[0], j), max(rows[0], j)
        if best is None:
            break
        _, a, b = best
        children.append(sorted((node[a], node[b])))
        heights.append(A[a, b])
        na, nb = size[a], size[b]
        S[:, a] += S[:, b]
        if update == "released_fast":
            S[a] += S[b]
        elif update == "paper_fast":
            L = (na * S[a] / na**2 + nb * S[b] / nb**2) / (na + nb)
            S[a] = L * (na + nb) ** 2
        members[a] = members[a] + members[b]
        node[a] = n + step
        if update == "exact":
            S[a] = [exchanged_weight(W, members[a], B) if B is not members[a] else 0.0 for B in members]
        S[a, a] = 0.0
        last = len(members) - 1
        S[b], S[:, b] = S[last], S[:, last].copy()
        S[b, b] = 0.0
        S = S[:last, :last]
        members[b], node[b] = members[last], node[last]
        members.pop()
        node.pop()
    return np.array(children).reshape(-1, 2), np.array(heights)


def agglomerate_candidates(W, labels0, k):
    """AGDL: partners are only the k nearest clusters of each cluster, until 1.2 k clusters are left."""
    clusters = {int(c): list(np.flatnonzero(labels0 == c)) for c in np.unique(labels0)}
    n = len(clusters)

    def nearest(c, others):
        ranked = sorted((-cluster_affinity(W, clusters[c], clusters[d]), min(c, d), max(c, d), d) for d in others)
        return {d for value, _, _, d in ranked[:k] if value < 0}

    lists = {c: nearest(c, clusters.keys() - {c}) for c in clusters}
    children, heights = [], []
    for step in range(n - 1):
        if len(clusters) <= int(1.2 * k):
            lists = {c: clusters.keys() - {c} for c in clusters}
        pairs = {(min(c, d), max(c, d)) for c in lists for d in lists[c]}
        value, pair = min(
            ((-cluster_affinity(W, clusters[c], clusters[d]), (c, d)) for c, d in pairs), default=(0, None)
        )
        if value == 0:
            break
        c, d = pair
        children.append(pair)
        heights.append(-value)
        new = n + step
        clusters[new] = clusters.pop(c) + clusters.pop(d)
        asked = (lists.pop(c) | lists.pop(d)) - {c, d}
        for e in lists:
            if lists[e] & {c, d}:
                lists[e] = lists[e] - {c, d} | {new}
                asked.add(e)
        lists[new] = nearest(new, asked)
    return np.array(children).reshape(-1, 2), np.array(heights)


def ward(points, sizes):
    """Greedy Ward merges of weighted points: children in scikit-learn's convention."""
    clusters = {i: (np.array(p, float), float(s)) for i, (p, s) in enumerate(zip(points, sizes))}
    children = []
    for step in range(len(points) - 1):
        cost = {
            (i, j): clusters[i][1]
            * clusters[j][1]
            / (clusters[i][1] + clusters[j][1])
            * ((clusters[i][0] - clusters[j][0]) ** 2).sum()
            for i in clusters
            for j in clusters
            if i < j
        }
        i, j = min(cost, key=lambda pair: (cost[pair], pair))
        (p, s), (q, t) = clusters.pop(i), clusters.pop(j)
        clusters[len(points) + step] = (s * p + t * q) / (s + t), s + t
        children.append((i, j))
    return np.array(children).reshape(-1, 2)
