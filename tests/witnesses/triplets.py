"""JULE's triplets and loss, its networks, the rules of its periods."""

import numpy as np

from witnesses._data import blobs, digits, errors_of, pictures, rng, weights_of
from witnesses._find import find


def triplets() -> dict[str, np.ndarray]:
    """Batches with a single, with pairs and with one cluster; as many negatives as there are, and fewer."""
    import torch

    sample, loss, padded = find("sample_triplets"), find("weighted_triplet_loss"), find("padded_triplet_loss")
    distances = find("squared_distances", "triplets")
    found: dict[str, np.ndarray] = {}
    batches = {
        "mixed": [3, 1, 1, 7, 3, 3, 0, 7, 1, 7, 7, 2],
        "one": [4, 4, 4],
        "alone": [0, 1, 2],
        "two": [5, 0, 5, 0],
        "pair": [1, 1],
    }
    for name, labels in batches.items():
        labels = torch.tensor(labels)
        x = torch.from_numpy(rng(len(labels)).normal(size=(len(labels), 3)).astype(np.float32))
        x = torch.nn.functional.normalize(x)
        for n in (1, 2, 20):
            for kind in ("random", "nearest"):
                drawn = torch.Generator().manual_seed(n)
                how = {"negatives": kind} if kind == "nearest" else {}
                got = sample(labels, n, distances=distances(x, x), generator=drawn, **how)
                key = f"{name}.{n}.{kind}"
                found |= {f"{key}.{part}": getattr(got, part).numpy() for part in ("anchor", "positive", "negative")}
                found[f"{key}.length"] = np.array(len(got))
                for gradient, gamma, margin in (("exact", 2.0, 0.2), ("released", 1.0, 0.0), ("released", 1.5, 0.7)):
                    y = x.clone().requires_grad_()
                    value = loss(y, got, gamma, margin, gradient=gradient)
                    value.backward()
                    found |= {
                        f"{key}.{gradient}.{gamma}": value.detach().numpy(),
                        f"{key}.{gradient}.{gamma}.by x": y.grad.numpy(),
                    }
            uniform = torch.rand(len(labels) * (len(labels) - 1) // 2, generator=torch.Generator().manual_seed(3))
            y = x.clone().requires_grad_()
            value, count = padded(y, labels, uniform, n, 1.5, 0.3, gradient="released" if n == 2 else "exact")
            value.backward()
            found |= {
                f"padded.{name}.{n}": value.detach().numpy(),
                f"padded.{name}.{n}.n": count.numpy(),
                f"padded.{name}.{n}.x": y.grad.numpy(),
            }
    many = torch.arange(50) // 2  # more clusters than the negatives that a pair gets by default
    x = torch.from_numpy(rng(6).normal(size=(50, 3)).astype(np.float32))
    usual = sample(many, generator=torch.Generator().manual_seed(5))
    found |= {"usual": usual.negative.numpy(), "usual loss": loss(x, usual).numpy()}
    uniform = torch.rand(50 * 49 // 2, generator=torch.Generator().manual_seed(5))
    found["usual padded"] = padded(x, many, uniform)[0].numpy()
    two = torch.tensor([0, 0, 1])
    cases = {
        "n 0": ((two, 0), {}),
        "n 1": ((two, 1), {}),
        "kind": ((two,), {"negatives": "x"}),
        "nearest": ((two,), {"negatives": "nearest"}),
    }
    return (
        found
        | errors_of(sample, cases)
        | errors_of(loss, {"gradient": ((torch.ones(3, 2), sample(two)), {"gradient": "x"})})
    )


def periods() -> dict[str, np.ndarray]:
    """Cuts where clusters have exactly the sizes that count as small."""
    cut, after, Tree = find("cut", "unrolling"), find("clusters_after"), find("MergeTree")
    found: dict[str, np.ndarray] = {}
    # leaves of 3, 2, 2, 1, 4, 1 samples
    initial = np.repeat(np.arange(6), [3, 2, 2, 1, 4, 1]).astype(np.int32)
    children = np.array([[0, 4], [1, 2], [3, 5], [6, 7], [8, 9]])
    sizes = np.array([7, 4, 2, 11, 13])
    for name, heights in (
        ("falling", [9.0, 5, 4, 0.5, 0.1]),
        ("rising", [1.0, 2, 3, 4, 5]),
        ("zeros", [3.0, 1, 0, 0, 0]),
        ("level", [2.0, 2, 2, 2, 2]),
    ):
        tree = Tree(initial, children, np.array(heights), sizes)
        found[f"linkage.{name}"] = tree.linkage_matrix()
    X = blobs((13,), 3, 3.0, seed=4)
    X[-1] = X[0]
    for n in range(1, 7):
        for small in range(5):
            for name, rows in (("spread", X), ("close", X * 0.05), ("far", X + 4)):
                found[f"cut.{n}.{small}.{name}"] = cut(tree, n, rows, small)
    short = Tree(np.array([0, 1, 1], np.int32), np.array([[0, 1]]), np.array([1.0]), np.array([3]))
    found["cut over"] = cut(short, 5, X[:3], 1)
    # only the cut into exactly twenty times as many clusters leaves two large ones
    n = 45
    alone = np.arange(n).repeat([2, 2] + [1] * (n - 2)).astype(np.int32)
    pairs = np.array([[n - 1 - i if i == 0 else n + i - 1, n - 2 - i] for i in range(n - 1)])
    pairs.sort(axis=1)
    late = Tree(alone, pairs, np.linspace(1, 0.1, n - 1), np.arange(2, n + 1))
    rows = rng(7).normal(size=(len(alone), 2)).astype(np.float32)
    for k in (1, 2, 3):
        for small in (1, 2, 3, 20, 21, 30):
            found[f"late.{k}.{small}"] = cut(late, k, rows, small)
    for parted_at in (39, 40, 41):  # two large clusters are left from so many clusters on: 40 is the last that counts
        found[f"parted.{parted_at}"] = cut(
            _parted(Tree, parted_at), 2, rng(8).normal(size=(68, 2)).astype(np.float32), 4
        )
    found["after a hair"] = np.array([after(10, 0.5 + hair, 1) for hair in (0.5e-10, 1.5e-10, 2.5e-10)])
    found |= _merging()
    for rate in (0.2, 0.5, 0.9):
        found[f"after.{rate}"] = np.array([after(n, rate, target) for n in (2, 5, 10, 15, 40) for target in (1, 4, 20)])
    found |= errors_of(tree.labels, {str(n): ((n,), {}) for n in (0, 1, 6, 7, 1.0)})
    unit, first, appearance = find("unit_rows"), find("initial_clusters", "linkage"), find("in_order_of_appearance")
    found["unit"] = unit(np.array([[0, 0], [3, 4], [-1, 0]], np.int8))
    found["unit maps"] = unit(pictures(3, 1, 4, 4))
    found["appearance"] = appearance(np.array([5, -1, 5, 3, -1]))
    chain = np.minimum(np.arange(1, 121), 119)
    chain[119] = 118
    for variant in ("published", "released"):
        found[f"chains.{variant}"] = first(chain, variant=variant)
        found[f"backwards.{variant}"] = first(np.maximum(np.arange(-1, 119), 0)[:, None], variant=variant)
    cases = {
        "empty": np.zeros(0, int),
        "float": np.zeros(3),
        "low": np.array([0, -1]),
        "high": np.array([0, 2]),
        "last": np.array([1, 1]),
    }
    return found | errors_of(
        first, {n: ((a,), {}) for n, a in cases.items()} | {"variant": ((np.array([0]),), {"variant": "x"})}
    )


def _parted(Tree, parted_at: int):
    """A tree over two leaves of five samples and 58 of one; the two are merged when ``parted_at`` clusters are left."""
    initial = np.arange(60).repeat([5, 5] + [1] * 58).astype(np.int32)
    children, last, alone = [], 59, list(range(2, 60))
    pairs = 60 - parted_at
    children += [(alone[2 * i], alone[2 * i + 1]) for i in range(pairs)]
    left = [*range(60, 60 + pairs), *alone[2 * pairs :]]
    children.append((0, 1))
    last = 60 + pairs
    for node in left:
        children.append((min(node, last), max(node, last)))
        last = 59 + len(children)
    return Tree(initial, np.array(children), np.linspace(1, 0.1, 59), np.zeros(59, np.int64))


def _merging() -> dict[str, np.ndarray]:
    """What JULE's forward pass hands on to the graph, to its first clusters and to the merges."""
    Merging, Graph = find("Merging"), find("KnnGraph")
    usual = {
        "n_neighbors": 4,
        "a": 0.5,
        "criterion": "local",
        "k_c": 3,
        "weight": 1.0,
        "update": "exact",
        "isolated": "nearest",
        "chains": "published",
        "device": "cpu",
    }
    chain = np.minimum(np.arange(1, 121), 119)
    chain[119] = 118
    along = Graph(chain[:, None].astype(np.int32), np.ones((120, 1)), 1.0)
    X, found = blobs((14, 9, 5, 2, 1)), {}
    cases = [
        {},
        {"chains": "released"},
        {"weight": 0.1},
        {"k_c": 1},
        {"criterion": "affinity"},
        {"update": "released_fast"},
        {"isolated": "keep"},
        {"isolated": "released"},
        {"n_neighbors": 40},
        {"a": 2.0},
    ]
    for case in cases:
        merging = Merging(**{**usual, **case})
        graph = merging.graph(X)
        tree = merging.tree(graph, np.arange(len(X)) // 2, X, 1)
        found |= {f"{case}.weights": graph.weights, f"{case}.heights": tree.heights, f"{case}.children": tree.children}
        found |= {f"{case}.first": merging.initial(graph), f"{case}.chain": merging.initial(along)}
    for start in ("neighbours", "kmeans", "singletons"):
        merging = Merging(**usual, start=start)
        found[f"start.{start}"] = merging.start_from(merging.graph(X), X)
    return found


def networks() -> dict[str, np.ndarray]:
    """The layers that image sizes get, first weights, and what every network makes of a batch and of a gradient."""
    import torch

    found: dict[str, np.ndarray] = {}
    stack, sides, fixed = find("stack"), find("sides"), find("fixed")
    shapes = [
        (16, 16),
        (28, 28),
        (32, 32),
        (55, 55),
        (112, 92),
        (128, 128),
        (11, 11),
        (12, 12),
        (13, 12),
        (12, 4),
        (8, 5),
        (20, 14),
        (64, 9),
    ]
    for h, w in shapes:
        for padding in (0, 2):
            plan = stack(h, w, padding)
            found[f"plan.{h}.{w}.{padding}"] = np.array(plan)
            found |= errors_of(sides, {f"{h}.{w}.{padding}": ((h, w, padding, plan), {})})
            if str(found[f"error.{h}.{w}.{padding}"]) == "ran":
                found[f"sides.{h}.{w}.{padding}"] = np.array(sides(h, w, padding, plan))
    found |= errors_of(fixed, {f"{a}": (a, {}) for a in ((0, None), (1, None), (2, 3), (2, 2), (2, -1), (2, 0))})
    architecture = find("architecture")
    for shape in (
        (1, 16, 16),
        (1, 17, 16),
        (1, 28, 28),
        (3, 32, 32),
        (1, 33, 20),
        (1, 128, 128),
        (1, 4, 4),
        (2, 8, 7),
        (1, 40, 24),
    ):
        stages, last, code = architecture(shape)
        found[f"architecture.{shape}"] = np.array([code, *last, *(n for stage in stages for n in stage)])
    found |= errors_of(architecture, {f"{s}": ((s,), {}) for s in ((1, 3, 9), (0, 9, 9), (9, 9), (1, 4, 4))})
    x = torch.from_numpy(digits()[0][:9]).float() / 255
    makes = {
        "jule": ("JuleNet", (1, 8, 8), {"filters": 3, "features": 4}),
        "jule torch": ("JuleNet", (1, 8, 8), {"init": "torch", "filters": 2, "features": 3}),
        "jule tiny": ("JuleNet", (1, 4, 4), {"filters": 2, "features": 3}),
        "jule two": ("JuleNet", (1, 8, 8), {"blocks": 2, "pools": 1, "padding": 1, "filters": 2, "features": 2}),
        "patch": ("PatchNet", (1, 6, 6), {"filters": 3, "features": 4}),
        "patch plain": ("PatchNet", (1, 5, 7), {"filters": 2, "features": 3, "batch_norm": False}),
    }
    for name, (kind, shape, options) in makes.items():
        network = find(kind)(*shape, generator=torch.Generator().manual_seed(1), **options)
        batch = x[:, :, : shape[1], : shape[2]] if shape[2] <= 8 else x
        for layer in ("top", "top-1", "top-2"):
            found |= {f"{name}.{n}": v for n, v in errors_of(network, {layer: ((batch, layer), {})}).items()}
        network(batch).square().sum(1).sub(network(batch.flip(0))[:, 0]).sum().backward()
        found |= {f"{name}.grad.{n}": p.grad.numpy() for n, p in network.named_parameters()}
        found |= {f"{name}.{n}": v for n, v in weights_of(network).items()}
        network.eval()
        for layer in ("top", "top-1") + (("top-2",) if "jule" not in name or "two" in name else ()):
            found[f"{name}.{layer}"] = network(batch, layer).detach().numpy()
        if kind == "JuleNet":
            found[f"{name}.shapes"] = np.array(str(network.shapes))
    found |= errors_of(
        find("JuleNet"), {"init": ((1, 8, 8), {"init": "x"}), "small": ((1, 3, 3), {"blocks": 2, "padding": 0})}
    )
    return found


WITNESSES = {"triplets": triplets, "periods": periods, "networks": networks}
