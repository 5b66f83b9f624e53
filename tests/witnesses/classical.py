"""The classical rows of the tables, and the numeric cores beside linkage."""

import numpy as np

from witnesses._data import blobs, errors_of, grid_points, rng, shares
from witnesses._find import find, holding, home


def _fitted(prefix: str, model, names: str) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": np.asarray(getattr(model, name)) for name in names.split()}


def _history(prefix: str, model) -> dict[str, np.ndarray]:
    from witnesses._data import untimed

    return untimed(model.history_, f"{prefix}.history")


def k_means() -> dict[str, np.ndarray]:
    """Restarts that tie, DeepCluster's k-means with empty clusters of both splits, by faiss and by torch."""
    found: dict[str, np.ndarray] = {}
    X = blobs((15, 9, 4, 1), 3)
    for init in ("k-means++", "random"):
        model = find("KMeans")(4, n_init=4, init=init, random_state=0).fit(X)
        found |= _fitted(init, model, "labels_ cluster_centers_ inertia_ n_iter_") | _history(init, model)
        found[f"{init}.predict"] = model.predict(grid_points(12))
    found |= errors_of(
        lambda **o: find("KMeans")(3, **o).fit(X), {"init": ((), {"init": "x"}), "n 0": ((), {"n_init": 0})}
    )
    found["n 1"] = find("KMeans")(3, n_init=1, random_state=1).fit(X).labels_
    kmeans, lloyd = find("kmeans", "lloyd"), home("lloyd")
    twins = np.repeat(np.arange(4, dtype=np.float32)[:, None] * [1, 2, 3], 5, axis=0).astype(np.float32)
    with holding(lloyd, _BLOCK=20), holding(home("_split_as_faiss"), _AHEAD=7):
        for name, rows, k in (
            ("twins", twins, 7),
            ("all", twins[::2], 10),
            ("grid", grid_points(40), 6),
            ("one", X, 1),
        ):
            for split, backend in (("released", "faiss"), ("released", "torch"), ("paper", "torch"), ("paper", "auto")):
                got = kmeans(rows, k, n_iter=6, seed=3, split=split, backend=backend)
                key = f"{name}.{split}.{backend}"
                found |= {
                    f"{key}.labels": got.labels,
                    f"{key}.centroids": got.centroids,
                    f"{key}.objective": np.array(got.objective),
                }
    wrong = {
        "k": ((X, 30), {}),
        "k 0": ((X, 0), {}),
        "split": ((X, 2), {"split": "x"}),
        "backend": ((X, 2), {"backend": "x"}),
        "nan": ((X * np.nan, 2), {}),
        "faiss paper": ((X, 2), {"backend": "faiss", "split": "paper"}),
    }
    return found | {f"kmeans.{n}": v for n, v in errors_of(kmeans, wrong).items()}


def average_linkage() -> dict[str, np.ndarray]:
    """Ties and duplicates; by SciPy's table, and with memory for a few clusters only."""
    AverageLinkage, rnn = find("AverageLinkage"), home("table_bytes")
    found: dict[str, np.ndarray] = {}
    for name, X in (
        ("grid", grid_points(40)),
        ("blobs", blobs((22, 9, 4, 1))),
        ("two", blobs((1, 1))),
        ("close", blobs((30,), 4, 1e-5) + 9),
        ("tight", blobs((12, 12), 4, 2e-3)),
    ):
        n = len(X)
        for method, memory in (("scipy", 1e9), ("low_memory", 1e9), ("auto", 8 * n * (X.shape[1] + 3 * 16) + 500)):
            try:
                model = AverageLinkage(2, method=method, max_memory=memory).fit(X)
            except MemoryError as error:
                found[f"{name}.{method}.error"] = np.array(type(error).__name__)
                continue
            found |= _fitted(f"{name}.{method}", model, "labels_ linkage_matrix_") | _history(f"{name}.{method}", model)
            found[f"{name}.{method}.at"] = model.labels_at(max(1, n // 3))
    with holding(rnn, BLOCK=16):
        found["blocks"] = AverageLinkage(3, method="low_memory").fit(grid_points(37)).linkage_matrix_
    found["pairs"] = find("pairwise_distances", "average_linkage")(grid_points(21), block=8)
    bytes_needed = find("scipy_bytes")(12)
    X = grid_points(12)
    cases = {
        "x": {"method": "x"},
        "just": {"max_memory": bytes_needed, "method": "scipy"},
        "under": {"max_memory": bytes_needed - 1, "method": "scipy"},
        "tiny": {"max_memory": 99},
    }
    found["one"] = AverageLinkage(1).fit(X[:1]).labels_
    found["sort"] = find("sort_merges")(np.array([[0, 1, 1.0, 2], [4, 2, 0.9, 3], [5, 3, 0.95, 4]]))
    found |= {"scipy_bytes": np.array(bytes_needed), "table_bytes": np.array(rnn.table_bytes(12))}
    return found | errors_of(lambda **o: AverageLinkage(2, **o).fit(X), {n: ((), o) for n, o in cases.items()})


def spectral() -> dict[str, np.ndarray]:
    """All four estimators, as published and as released; affinities kept, in part, recomputed and sparse."""
    found: dict[str, np.ndarray] = {}
    X, ties = blobs((24, 14, 8, 3, 1), 4), grid_points(50)
    makes = {
        "SpectralNJW": {"scale": [0.05, 0.3]},
        "SelfTuningSpectral": {"n_neighbors": 5},
        "LandmarkSpectral": {"n_landmarks": 12},
        "NormalizedCuts": {},
    }
    with holding(home("SquaredDistances"), BLOCK=16):
        for name, options in makes.items():
            for variant in ("published", "released"):
                for where, rows in (("blobs", X), ("grid", ties)):
                    more = {} if name == "LandmarkSpectral" else {"max_memory": 3000, "device": "cpu"}
                    model = find(name)(3, variant=variant, random_state=0, **options, **more).fit(rows)
                    key = f"{name}.{variant}.{where}"
                    found |= _fitted(key, model, "labels_ embedding_") | (_history(key, model) if more else {})
                    found |= {
                        f"{key}.{n}": np.asarray(getattr(model, n))
                        for n in ("eigenvalues_", "singular_values_", "landmarks_", "cost_", "scale_")
                        if hasattr(model, n)
                    }
        # products of the local scales below the least that the toolbox admits, and some above
        near = find("SelfTuningSpectral")(3, variant="released", n_neighbors=5, random_state=0, device="cpu")
        for scale in (0.02, 0.05):
            found |= _fitted(f"near.{scale}", near.fit(X * np.float32(scale)), "labels_ embedding_ eigenvalues_")
        found["ncuts kept"] = (
            find("NormalizedCuts")(3, variant="released", random_state=0, device="cpu").fit(X).embedding_
        )
        with holding(home("leading_eigenvectors"), DENSE=10, BASIS=2):
            for k, kind in ((1, "published"), (2, "released")):
                many = np.concatenate([blobs((60, 40, 20), 3, seed=s) + 30 * s for s in range(2)])
                model = find("SpectralNJW")(k, variant=kind, random_state=0, device="cpu", scale=0.2).fit(many)
                found |= _fitted(f"davidson.{k}", model, "embedding_ eigenvalues_") | _history(f"davidson.{k}", model)
    found["defaults"] = np.array([str(find(name)().get_params()) for name in makes])

    def fit(name: str):
        return lambda **o: find(name)(**{"n_clusters": 3, **o}).fit(X)

    fits = {name: fit(name) for name in makes}
    for name in makes:
        found |= {f"{name}.{n}": v for n, v in errors_of(fits[name], {"variant": ((), {"variant": "x"})}).items()}
    found |= {
        f"scale.{n}": v
        for n, v in errors_of(fits["SpectralNJW"], {str(s): ((), {"scale": s}) for s in (0, -1, [], [1, 0])}).items()
    }
    found |= {
        f"ncuts scale.{n}": v
        for n, v in errors_of(fits["NormalizedCuts"], {str(s): ((), {"scale": s}) for s in (0, -1)}).items()
    }
    found |= {
        f"nn.{n}": v
        for n, v in errors_of(
            fits["SelfTuningSpectral"], {str(k): ((), {"n_neighbors": k}) for k in (-1, 49, 50)}
        ).items()
    }
    cases = {
        "lm 2": {"n_landmarks": 2},
        "lm 3": {"n_landmarks": 3},
        "near 0": {"n_nearest": 0},
        "near 1": {"n_nearest": 1},
    }
    return found | errors_of(fits["LandmarkSpectral"], {n: ((), o) for n, o in cases.items()})


def factorisations() -> dict[str, np.ndarray]:
    """The two clusterings by factorisation, with rows and columns of zeros."""
    found: dict[str, np.ndarray] = {}
    X = shares(30, 8)
    Local, Deep = find("LocalityPreservingNMF"), find("DeepSemiNMF")
    with holding(home("KLFactors"), BLOCK=11):
        for name, options in {
            "published": {"n_init": 2, "max_iter": 34},
            "released": {"variant": "released", "n_init": 2, "n_components": 3},
            "converged": {"alpha": 0.5, "n_init": 1, "tol": 1e-2},
            "default": {"n_init": 1, "variant": "released"},
        }.items():
            model = Local(3, random_state=0, **options).fit(X)
            found |= _fitted(name, model, "labels_ embedding_ components_") | _history(name, model)
    signed = blobs((14, 9, 3), 7)
    for name, options in {
        "deep": {"layers": (6, 3), "max_iter": 25},
        "three": {"layers": (5, 4, 2), "max_iter": 12, "tol": 0.5},
        "exact": {"layers": (7,), "max_iter": 31, "tol": 1e-9},
    }.items():
        model = Deep(3, random_state=0, **options).fit(signed)
        found |= _fitted(name, model, "labels_ embedding_ layers_") | _history(name, model)
        found |= {f"{name}.factor.{i}": Z for i, Z in enumerate(model.factors_)}
    found["double"] = Deep(2, layers=(3,), max_iter=9, random_state=0).fit(signed.astype(np.float64)).embedding_
    residual_norm = find("residual_norm")
    found["residual"] = np.array(residual_norm(signed.T, signed.T[:, :3], np.eye(3, len(signed)), block=10))
    local = lambda **o: Local(**{"n_clusters": 3, "n_init": 1, "max_iter": 2, **o}).fit(X)  # noqa: E731
    deep = lambda **o: Deep(**{"n_clusters": 3, "layers": (2,), "max_iter": 2, **o}).fit(signed)  # noqa: E731
    cases = [
        {"variant": "x"},
        {"n_components": 31},
        {"n_components": 30},
        {"alpha": -1},
        {"n_neighbors": 30},
        {"n_neighbors": 29},
        {"n_neighbors": 0},
        {"n_init": 0},
        {"max_iter": -1},
        {"n_components": -1},
    ]
    found |= {f"local.{n}": v for n, v in errors_of(local, {str(o): ((), o) for o in cases}).items()}
    cases = [{"layers": ()}, {"layers": (0,)}, {"layers": (1,)}, {"max_iter": 0}, {"max_iter": 1}]
    return found | {f"deep.{n}": v for n, v in errors_of(deep, {str(o): ((), o) for o in cases}).items()}


def small_cores() -> dict[str, np.ndarray]:
    """Whitening, power iteration, sampling, targets and scores, tables of merge scores."""
    import torch

    found: dict[str, np.ndarray] = {}
    X = torch.from_numpy(np.column_stack([blobs((9, 6, 3), 4), np.ones(18, np.float32)]))
    whiten, zca, Moments = find("pca_whiten"), find("zca_whitening"), find("Moments")
    for k in (2, 5):
        w = whiten(X.split(7), k)
        found |= {
            f"pca.{k}.matrix": w.matrix.numpy(),
            f"pca.{k}.rows": w(X).numpy(),
            f"pca.{k}.raw": w(X, normalise=False).numpy(),
        }
    found["pca.flat"] = whiten([torch.ones(3, 2)]).matrix.numpy()
    moments = Moments(5)
    for part in (X[:0], X[:1], X[1:], X[:2].double()):
        moments.update(part)
    moments.combine(lambda v: v)
    moments.combine(lambda v: 2 * v)
    found |= {
        "mean": moments.mean.numpy(),
        "scatter": moments.scatter.numpy(),
        "count": np.array(moments.count),
        "zca": zca(moments).matrix.numpy(),
    }
    one = Moments(2)
    one.update(torch.ones(1, 2))
    two = Moments(2)
    two.update(torch.tensor([[1.0, 2], [np.nan, 3]]))
    found |= errors_of(
        whiten, {"none": (([],), {}), "one": (([X[:1]],), {}), "two": (([X[:2]],), {}), "nan": (([X * np.nan],), {})}
    )
    found |= {
        f"zca.{n}": v
        for n, v in errors_of(zca, {"one": ((one,), {}), "nan": ((two,), {}), "eps": ((moments, 0.0), {})}).items()
    }
    pic = find("power_iteration_clusters")
    for name, rows in (("blobs", blobs((16, 8, 2, 1, 1), 3)), ("grid", grid_points(30) / 9)):
        found[f"pic.{name}"] = pic(rows, sigma=1.0, n_neighbors=3)
        found[f"pic.{name}.usual"] = pic(rows / 5, n_iter=7)
    found |= errors_of(pic, {"pic 5": ((X[:5].numpy(),), {}), "pic 6": ((X[:6].numpy(),), {})})
    draw, largest = find("draw_epoch"), find("largest_share")
    for name, labels in (
        ("uneven", np.repeat([0, 1, 3, -1], [9, 3, 1, 2])),
        ("even", np.arange(12) % 3),
        ("one", np.zeros(4, int)),
    ):
        for sampler in ("uniform", "released"):
            got = draw(rng(1).permutation(labels), rng(2), sampler)
            found |= {
                f"draw.{name}.{sampler}": got.images,
                f"targets.{name}.{sampler}": got.targets,
                f"share.{name}.{sampler}": np.array(largest(got.targets)),
            }
    found |= errors_of(
        draw, {"sampler": ((np.zeros(3, int), rng(0), "x"), {}), "nobody": ((np.full(3, -1), rng(0)), {})}
    )
    affinities, scored = find("cluster_affinities"), find("merge_scores")
    graph = find("affinity_graph")(blobs((9, 6, 3), 4), 4)
    table = affinities(graph, np.arange(18) % 5)
    found["table"] = table
    for k_c in (2, 4, 7):
        found |= dict(zip((f"scores.{k_c}.nearest", f"scores.{k_c}"), scored(table, k_c, 0.7)))
    found |= errors_of(scored, {"k_c 1": ((table, 1), {}), "k_c 2": ((table, 2), {})})
    return found | errors_of(
        affinities, {"gap": ((graph, np.arange(18) % 2 * 2), {}), "length": ((graph, np.zeros(17, int)), {})}
    )


def boosting() -> dict[str, np.ndarray]:
    """Scores, targets and gradients of DBC, far from every centre and upon one; arrays and tensors."""
    import torch

    found: dict[str, np.ndarray] = {}
    soft, target, kl, terms = find("soft_assign"), find("boosted_target"), find("boosted_kl"), find("kl_terms")
    Z, centres = blobs((8, 5, 2), 4), blobs((1, 1, 1), 4, seed=2)
    Z[3], Z[4] = centres[1], 30.0
    found["soft far"] = soft(np.where(np.arange(len(Z))[:, None] == 4, np.float32(1e4), Z), centres, 1.0)
    for v in (1.0, 2.5):
        S = soft(Z, centres, v)
        found[f"soft.{v}"], found[f"soft64.{v}"] = S, soft(Z.astype(np.float64), centres.astype(np.float64), v)
        for alpha in (1.0, 2.0, 4.0):
            for how in ("boosted", "soft", "none"):
                R = target(S, alpha, how)
                found[f"target.{v}.{alpha}.{how}"], found[f"terms.{v}.{alpha}.{how}"] = R, terms(R, S)
        z, c = torch.from_numpy(Z).requires_grad_(), torch.from_numpy(centres).requires_grad_()
        loss = kl(z, c, torch.from_numpy(target(S)), v)
        (3 * loss).backward()
        found |= {f"kl.{v}": loss.detach().numpy(), f"dz.{v}": z.grad.numpy(), f"dc.{v}": c.grad.numpy()}
    edge = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 0.2, 0.0]])
    for how in ("boosted", "soft", "none"):
        found[f"edge.{how}"], found[f"edge tensor.{how}"] = (
            target(edge, 2.0, how),
            target(torch.from_numpy(edge), 2.0, how).numpy(),
        )
    found["edge terms"] = terms(edge, edge[::-1])
    one = np.ones((2, 2))
    wrong = {
        "rank": ((one[0],), {}),
        "empty": ((one[:0],), {}),
        "negative": ((-one,), {}),
        "zero": ((one * 0,), {}),
        "nan": ((one * np.nan,), {}),
        "alpha 0": ((one, 0.0), {}),
        "how": ((one, 2.0, "x"), {}),
    }
    found |= errors_of(target, wrong) | errors_of(terms, {"shape": ((one, one[:1]), {})})
    t = torch.ones(2, 2)
    found |= errors_of(
        kl,
        {
            "kl rank": ((t[0], t, t), {}),
            "kl d": ((t, t[:, :1], t), {}),
            "kl v": ((t, t, t, 0.0), {}),
            "kl target": ((t, t, t[:1]), {}),
        },
    )
    return found | errors_of(soft, {"soft v": ((one, one, -1.0), {}), "soft c": ((one, one[0]), {})})


WITNESSES = {
    "k-means": k_means,
    "average-linkage": average_linkage,
    "spectral": spectral,
    "factorisations": factorisations,
    "small-cores": small_cores,
    "boosting": boosting,
}
