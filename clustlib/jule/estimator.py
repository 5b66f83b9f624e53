"""JULE: joint unsupervised learning of representations and image clusters (Yang et al., CVPR 2016)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._images import check_images
from clustlib._validation import (
    check_n_clusters,
    check_parameters,
    check_trained,
    check_truth,
    seed_of,
    unit_rows,
    warn_of_fewer,
    whole,
)
from clustlib.checkpoints import Checkpoint, content_hash, identity
from clustlib.cluster.number_of_clusters import estimate
from clustlib.errors import UsageError
from clustlib.jule.fit_state import noted, packed, tree_arrays, tree_of, unpacked
from clustlib.jule.network import JuleNet, PatchNet
from clustlib.jule.parameters import CONSTRAINTS, NETWORK, PATCH_NETWORK
from clustlib.jule.triplet_training import Descent, TripletLoss, TripletTraining
from clustlib.jule.unrolling import Merging, clusters_after, cut, periods_of, warn_of_few_steps
from clustlib.kernels import MergeTree
from clustlib.saving import System, by_neighbours, state_of, weights_of


class JULE(System, ClusterMixin, BaseEstimator):
    """Merge clusters and train a network on them, in turns (Algorithm 1).

    Initial clusters come from the l2-normalised pixels. A period trains the network on the present clusters for
    ``epochs`` epochs of triplets, builds the graph of its features anew and makes ``ceil(eta n_c)`` merges. The labels
    when ``n_clusters`` are left are OURS-SF; clustering once more from the beginning, on the final features, gives
    OURS-RC.

    Parameters
    ----------
    n_clusters : int, optional
        Where merging ends. None: periods go on while they leave two clusters, and the number is taken that
        :func:`clustlib.cluster.number_of_clusters.estimate` finds in the final merge tree; ``labels_at`` gives any
        other.
    unrolling_rate : float
        eta, in (0, 1): 0.9 for digits and objects, 0.2 for faces.
    n_neighbors, a : int, float
        K_s and a of Eq. (4).
    criterion : {"local", "affinity", "released"}
        What the merged pair maximises: Eq. (7), its first part (7a), or Eq. (7) as JULE.torch has it, which looks at
        one triangle of the table of affinities, and at local structure only while more than 100 clusters are left.
    k_c, weight : int, float
        K_c and lambda of Eq. (7).
    update : {"exact", "paper_fast", "released_fast"}
        How affinities follow a merge; see :func:`clustlib.kernels.graph_linkage`.
    isolated : {"nearest", "released", "keep"}
        What becomes of a cluster without affinity to any other; the paper does not say. "nearest": it joins the one
        with the nearest centroid. "released" does so only before a period's first merge and while there are more than
        20 ``n_clusters``. "keep": it stays, to the end if need be.
    small : {"throughout", "absorb", "keep"}
        What becomes of clusters of at most ``min(n_neighbors, N / (10 C))`` images, a tenth of the mean, when a period
        has left C clusters. "throughout": they do not count, and join the one with the nearest centroid, so that the
        network is never trained to tell a handful from the rest. "absorb": the same, only when ``n_clusters`` are left.
        "keep": they take places in the result, as in both released codes.
    chains : {"published", "released"}
        "released" cuts chains of nearest neighbours after 51 images in the initial clusters.
    gamma, margin : float
        Weight of the positive pair, 2 in the paper's Table 2 and 1 by default in JULE.torch; the margin is the
        released code's. None: no hinge, as in Eq. (11).
    negatives, n_negatives : {"spread", "random", "nearest"}, int
        Where the negatives of a pair come from, and how many at most; see :func:`clustlib.kernels.sample_triplets`.
        The paper's text: the ``k_c`` nearest. Both released codes: random ones of the batch, up to 20 in JULE.torch.
    gradient : {"exact", "released"}
        See :func:`clustlib.kernels.weighted_triplet_loss`.
    epochs : int
        Per period.
    batch_size : int
    learning_rate, momentum, weight_decay : float
    dampening : float
        0.9 in JULE.torch, which makes its steps a tenth as long.
    reset_rate : bool
        Let the learning rate ``learning_rate (1 + 1e-4 t)^-0.75`` begin anew in each period, as the text says and the
        released code does not.
    train_first, train_last : bool
        Train on the initial clusters before the first merge, and on the final ones after the last. Algorithm 1 lists
        the merge first in each period (False, True); the released code trains first and stops at the last merge.
    statistics : {"running", "batch"}
        Batch normalisation when features are extracted between merges; JULE.torch leaves it in training mode.
    start : {"neighbours", "kmeans", "singletons"}
        The initial clusters of section 3.6: chains of nearest neighbours as in the paper, k-means, or images alone.
    init : {"released", "torch"}
        See :class:`clustlib.jule.network.JuleNet`.
    network : dict, optional
        Other arguments of :class:`clustlib.jule.network.JuleNet`: ``blocks``, ``pools``, ``padding``, ``filters``,
        ``features``.
    precision : {"float32", "bfloat16"}
        Of the convolutions. "bfloat16" is faster where the processor has it; results differ by rounding.
    scaled : bool
        Whether images are uint8 or in [0, 1]; False takes any numbers as they are, those of centred or whitened images.
    neighbor_method : {"auto", "exact", "approximate"}
        See :func:`clustlib.kernels.knn`: "auto" is exact up to 100,000 images.
    random_state : int, RandomState or None
    device : {"auto", "cpu", "cuda", ...}
        Of the network and of the search for neighbours; merging runs on the CPU.
    checkpoint : path, optional
        A file that holds the fit's state after every epoch; a fit with the same parameters and images goes on from
        it and ends as if it had never stopped.

    Attributes
    ----------
    labels_ : (N,) int64
        OURS-RC; the same as ``labels_rc_``. ``labels_sf_`` is OURS-SF.
    n_clusters_ : int
    embedding_ : (N, 160) float32
        The final features, of unit length.
    merge_tree_ : clustlib.kernels.MergeTree
        Of the final clustering. ``sf_tree_`` is that of the last period, from the clusters it began with (None if there
        was nothing to merge).
    network_ : clustlib.jule.network.JuleNet
    history_ : list of dict
        One per merging and one for the final clustering ("period" = "rc"): clusters found, mean ``loss`` of the last
        epoch, ``nmi`` (geometric) and ``accuracy`` if labels were given, seconds by part, and the ``recall`` of
        neighbours that were searched approximately.
    stages_ : list of dict
        ``labels`` (N,) and ``components`` (N, 3) float32, the first three principal components of the features that
        the labels were found in: of the pixels first, then after every merging.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        unrolling_rate: float = 0.9,
        n_neighbors: int = 20,
        a: float = 1.0,
        criterion: Literal["local", "affinity", "released"] = "local",
        k_c: int = 5,
        weight: float = 1.0,
        update: Literal["exact", "paper_fast", "released_fast"] = "exact",
        isolated: Literal["nearest", "released", "keep"] = "nearest",
        small: Literal["throughout", "absorb", "keep"] = "throughout",
        chains: Literal["published", "released"] = "published",
        gamma: float = 2.0,
        margin: float | None = 0.2,
        negatives: Literal["spread", "random", "nearest"] = "spread",
        n_negatives: int = 20,
        gradient: Literal["exact", "released"] = "exact",
        epochs: int = 20,
        batch_size: int = 100,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
        dampening: float = 0.0,
        weight_decay: float = 5e-5,
        reset_rate: bool = False,
        train_first: bool = True,
        train_last: bool = False,
        statistics: Literal["running", "batch"] = "running",
        start: Literal["neighbours", "kmeans", "singletons"] = "neighbours",
        init: Literal["released", "torch"] = "released",
        network: dict[str, Any] | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        scaled: bool = True,
        neighbor_method: Literal["auto", "exact", "approximate"] = "auto",
        random_state: Any = 0,
        device: str = "auto",
        checkpoint: str | Path | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.unrolling_rate = unrolling_rate
        self.n_neighbors = n_neighbors
        self.a = a
        self.criterion = criterion
        self.k_c = k_c
        self.weight = weight
        self.update = update
        self.isolated = isolated
        self.small = small
        self.chains = chains
        self.gamma = gamma
        self.margin = margin
        self.negatives = negatives
        self.n_negatives = n_negatives
        self.gradient = gradient
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.dampening = dampening
        self.weight_decay = weight_decay
        self.reset_rate = reset_rate
        self.train_first = train_first
        self.train_last = train_last
        self.statistics = statistics
        self.start = start
        self.init = init
        self.network = network
        self.precision = precision
        self.scaled = scaled
        self.neighbor_method = neighbor_method
        self.random_state = random_state
        self.device = device
        self.checkpoint = checkpoint

    def _options(self) -> dict[str, dict[str, Any]]:
        """What its dict may hold."""
        return {"network": NETWORK}

    @whole
    def fit(self, images: Any, y: Any = None) -> Self:
        """Cluster ``images`` (N, C, H, W): uint8 or floats in [0, 1], an ``ImageSet``, or a folder of image files.

        ``y`` (N,) is only compared with, in ``history_``. Raises ``ValueError``: NaN, empty, wrong rank or scale, fewer
        images or initial clusters than ``n_clusters``, a parameter that cannot be right.
        """
        check_parameters(self)
        images = check_images(images, self.n_clusters, minimum=3, scaled=self.scaled)
        truth = check_truth(y, len(images))
        checkpoint = Checkpoint(self.checkpoint, identity(self, images=content_hash(images)))
        seed = seed_of(self.random_state)
        training, merging = self._training(images, seed=seed), self._merging(seed)
        state = checkpoint.load()
        if state is None:
            state = self._begin(images, merging, truth)
        else:
            training.restore(state.pop("training"))
            state = unpacked(state)
        self._run(state, training, merging, checkpoint, truth)
        self._read_out(state, training, merging, truth)
        warn_of_fewer(self.labels_, self.n_clusters)
        return self

    def labels_at(self, n_clusters: int) -> np.ndarray:
        """OURS-RC at another number of clusters, (N,) int64; no new run."""
        check_is_fitted(self)
        check_n_clusters(n_clusters, self.merge_tree_.n_leaves)
        return self._cut(self.merge_tree_, n_clusters, self.embedding_)

    def transform(self, images: Any, layer: Literal["top", "top-1", "top-2"] = "top") -> np.ndarray:
        """Features (N, D) float32 of images of the size and channels fitted, from the layer named (section 4.2.1)."""
        check_is_fitted(self)
        images = check_images(images, shape=self.image_shape_, scaled=self.scaled)
        return self._training(images, self.network_).features(layer)

    def predict(self, images: Any) -> np.ndarray:
        """The clusters (N,) int64 of images as :meth:`transform` takes them, by their nearest fitted ones' features."""
        check_is_fitted(self)
        return by_neighbours(self.embedding_, self.labels_, self.transform(images))

    def _begin(self, images: np.ndarray, merging: Merging, truth: np.ndarray | None) -> dict[str, Any]:
        """Initial clusters on the pixels: the state before the first period."""
        started = time.perf_counter()
        pixels = unit_rows(images)
        graph = merging.graph(pixels)
        labels = merging.start_from(graph, pixels)
        seconds = time.perf_counter() - started
        n_found = int(labels.max()) + 1
        if self.n_clusters is not None and n_found < self.n_clusters:
            raise UsageError(f"n_clusters={self.n_clusters} is more than the {n_found} initial clusters")
        steps = self.epochs * -(-len(images) // self.batch_size)
        merged = periods_of(n_found, self.n_clusters or 2, self.unrolling_rate)
        warn_of_few_steps(max(0, merged - (not self.train_first)) + self.train_last, steps)
        state: dict[str, Any] = {
            "period": 0, "epoch": 0, "n_clusters": n_found, "labels": labels, "history": [], "stages": [], "loss": 0.0,
            "seconds": 0.0, "done": False,
        }  # fmt: skip
        noted(state, labels, pixels, truth, period=0, graph_seconds=seconds)
        if not self.train_first:
            self._merge(state, pixels, merging, truth, graph=graph)
        return state

    def _run(
        self, state: dict, training: Any, merging: Merging, checkpoint: Checkpoint, truth: np.ndarray | None
    ) -> None:
        """Periods until no more merges are due."""
        with tqdm(desc="JULE", unit="epoch", delay=3, leave=False) as bar:
            while not state["done"]:
                if self._next(state["n_clusters"]) != state["n_clusters"] or self.train_last:
                    self._train(state, training, merging, checkpoint, bar)
                if self._next(state["n_clusters"]) == state["n_clusters"]:
                    state["done"] = True
                    break
                started = time.perf_counter()
                features = training.features(statistics=self.statistics)
                state["feature_seconds"] = time.perf_counter() - started
                self._merge(state, features, merging, truth)
                state["epoch"] = 0
        checkpoint.save(packed(state, training))

    def _next(self, n_clusters: int) -> int:
        """Clusters after one more period; the same number where the run is at its end."""
        if self.n_clusters is None:
            after = clusters_after(n_clusters, self.unrolling_rate, 1)
            return after if after > 1 else n_clusters
        return clusters_after(n_clusters, self.unrolling_rate, self.n_clusters)

    def _train(self, state: dict, training: Any, merging: Merging, checkpoint: Checkpoint, bar: Any) -> None:
        """The rest of the period's epochs on the present labels."""
        if self.reset_rate and state["epoch"] == 0:
            training.iteration = 0
        while state["epoch"] < self.epochs:
            started = time.perf_counter()
            state["loss"] = training.epoch(state["labels"])
            check_trained(training.network.parameters())
            state["seconds"] += time.perf_counter() - started
            state["epoch"] += 1
            bar.set_postfix(clusters=state["n_clusters"], loss=f"{state['loss']:.3f}")
            bar.update()
            checkpoint.save(packed(state, training))

    def _merge(
        self, state: dict, features: np.ndarray, merging: Merging, truth: np.ndarray | None, graph: Any = None
    ) -> None:
        """One forward pass: the period's merges on ``features``."""
        target = self._next(state["n_clusters"])
        started = time.perf_counter()
        graph = merging.graph(features) if graph is None else graph
        middle = time.perf_counter()
        tree = merging.tree(graph, state["labels"], features, self.n_clusters or 2)
        cuts = target == self.n_clusters or self.small == "throughout"
        labels = self._cut(tree, target, features) if cuts else tree.labels(target)
        ended = time.perf_counter()
        state.update(labels=labels, n_clusters=target, period=state["period"] + 1, tree=tree_arrays(tree))
        facts = {"graph_seconds": middle - started, "merge_seconds": ended - middle, **merging.recall(graph, features)}
        noted(state, labels, features, truth, period=state["period"], **facts)

    def _read_out(self, state: dict, training: Any, merging: Merging, truth: np.ndarray | None) -> None:
        """OURS-SF as it stands, and OURS-RC from new initial clusters on the final features."""
        started = time.perf_counter()
        features = training.features()
        state["feature_seconds"] = time.perf_counter() - started
        graph = merging.graph(features)
        initial = merging.start_from(graph, features)
        middle = time.perf_counter()
        self.merge_tree_ = merging.tree(graph, initial, features, self.n_clusters or 2)
        ended = time.perf_counter()
        # features that coincide can leave fewer initial clusters than are wanted: what there is, is taken
        wanted = self.n_clusters_ = self._wanted(graph)
        self.labels_rc_ = self._cut(self.merge_tree_, wanted, features)
        self.sf_tree_ = MergeTree(**state["tree"]) if "tree" in state else None
        if self.n_clusters is None and self.sf_tree_ is not None:
            self.labels_sf_ = self._cut(self.sf_tree_, wanted, features)
        else:
            self.labels_sf_ = state["labels"]
        self.labels_ = self.labels_rc_
        facts = {"graph_seconds": middle - started - state["feature_seconds"], "merge_seconds": ended - middle}
        noted(state, self.labels_rc_, features, truth, period="rc", **facts, **merging.recall(graph, features))
        self.embedding_, self.network_ = features, training.network
        self.triplet_seconds_ = training.triplet_seconds
        self.image_shape_ = tuple(training.images.shape[1:])
        self.history_, self.stages_ = state["history"], state["stages"]

    def _wanted(self, graph: Any) -> int:
        """The number of clusters asked for, else the one in which the neighbours are described in the least."""
        if self.n_clusters is not None:
            return self.n_clusters
        return estimate(self.merge_tree_, graph.indices).n_clusters

    def _cut(self, tree: Any, n_clusters: int, features: np.ndarray) -> np.ndarray:
        """The labels of ``n_clusters`` clusters, small ones treated as ``small`` says."""
        tenth = len(features) // (10 * n_clusters)
        return cut(tree, n_clusters, features, 0 if self.small == "keep" else min(self.n_neighbors, tenth))

    def _training(self, images: np.ndarray, network: Any = None, seed: int = 0) -> Any:
        loss = TripletLoss(self.gamma, self.margin, self.n_negatives, self.negatives, self.gradient)
        descent = Descent(
            self.learning_rate, self.momentum, self.dampening, self.weight_decay, self.batch_size, self.precision
        )  # fmt: skip
        if network is None:
            network = self._new_network(images.shape[1:], torch.Generator().manual_seed(seed))
        return TripletTraining(images, network, loss, descent, seed, _device.resolve(self.device))

    def _new_network(self, shape: Any, generator: Any = None) -> Any:
        return JuleNet(*shape, init=self.init, generator=generator, **(self.network or {}))

    def _merging(self, seed: int = 0) -> Merging:
        return Merging(
            n_neighbors=self.n_neighbors, a=self.a, criterion=self.criterion, k_c=self.k_c, weight=self.weight,
            update=self.update, isolated=self.isolated, chains=self.chains, device=self.device, start=self.start,
            seed=seed, method=self.neighbor_method,
        )  # fmt: skip

    def _fitted(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        fitted = {name: getattr(self, f"{name}_") for name in ("labels_rc", "labels_sf", "embedding")}
        tree = {f"tree:{name}": array for name, array in tree_arrays(self.merge_tree_).items()}
        facts = {"shape": list(self.image_shape_), "n_clusters": int(self.n_clusters_)}
        return facts, {**fitted, **tree, **weights_of(self.network_)}

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.image_shape_, self.n_clusters_ = tuple(facts["shape"]), facts["n_clusters"]
        check_n_clusters(self.n_clusters_, len(arrays["labels_rc"]))
        for name in ("labels_rc", "labels_sf", "embedding"):
            setattr(self, f"{name}_", arrays[name])
        self.labels_ = self.labels_rc_
        tree = {n.removeprefix("tree:"): a for n, a in arrays.items() if n.startswith("tree:")}
        self.merge_tree_ = tree_of(tree, len(self.labels_))
        self.network_ = self._new_network(self.image_shape_, torch.Generator())
        self.network_.load_state_dict(state_of(arrays))
        self.network_.to(_device.resolve(self.device)).eval()

    def _image_shape(self) -> tuple[int, ...]:
        return self.image_shape_


class PatchJULE(JULE):
    """:class:`clustlib.JULE` with :class:`clustlib.jule.network.PatchNet` in place of its network.

    ``network`` holds arguments of ``PatchNet``; ``init`` is not read. ``transform`` knows the layers "top" (the linear
    layer), "top-1" (conv2) and "top-2" (conv1). Whitened patches need ``scaled=False``.
    """

    def _options(self) -> dict[str, dict[str, Any]]:
        return {"network": PATCH_NETWORK}

    def _new_network(self, shape: Any, generator: Any = None) -> Any:
        return PatchNet(*shape, generator=generator, **(self.network or {}))
