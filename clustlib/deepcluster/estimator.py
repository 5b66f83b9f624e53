"""DeepCluster: k-means on the features, its clusters as labels for the next epoch, and again (Caron et al., 2018)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from clustlib import _device, metrics
from clustlib._validation import (
    check_callable,
    check_n_clusters,
    check_parameters,
    check_truth,
    seed_of,
    warn_of_fewer,
    whole,
)
from clustlib.checkpoints import Checkpoint, identity
from clustlib.deepcluster import features
from clustlib.deepcluster.classification import Classification
from clustlib.deepcluster.network import AlexNetSobel, VGG16Sobel
from clustlib.deepcluster.parameters import CONSTRAINTS, NETWORK_OPTIONS, number_of_clusters
from clustlib.deepcluster.spread import spread_kmeans
from clustlib.errors import UsageError
from clustlib.kernels._lloyd_parts import Split
from clustlib.kernels.power_iteration import power_iteration_clusters
from clustlib.kernels.sampling import Sampler, draw_epoch, largest_share
from clustlib.kernels.whitening import Whitening
from clustlib.networks.convnet import ConvNet, Input
from clustlib.networks.crops import ArrayImages, FolderImages, image_source
from clustlib.networks.processes import Processes, seed_torch, seeded
from clustlib.saving import System, by_neighbours, state_of, weights_of

_NETWORKS = {"alexnet": AlexNetSobel, "vgg16": VGG16Sobel}
AfterEpoch = Callable[[dict[str, float], np.ndarray, np.ndarray | None], None]
_KMEANS, _SAMPLER, _NETWORK = 4, 5, 6  # what a stream of random numbers is for


class _Epoch(NamedTuple):
    """An epoch under way: its entry of ``history_``, the clusters (N,) that it learns to predict, the losses so far."""

    entry: dict[str, float]
    clusters: np.ndarray
    losses: list[float]


class DeepCluster(System, ClusterMixin, BaseEstimator):
    """Alternates between clustering the features, Eq. (2), and predicting the clusters, Eq. (1).

    Parameters
    ----------
    n_clusters : k. None: the paper's 10,000; of fewer images than that a tenth of their number, with a warning. Not
        read with ``clustering="pic"``, which finds its own number.
    network : "alexnet" or "vgg16", with ``front``: "sobel" or "rgb".
    network_options : further arguments of the network, as ``{"width": 0.25, "kernel": 5, "stride": 2}``.
    image_size : pixels of the crops; None is 224/256 of an array's images, and 224 for a folder.
    epochs : 500 in the paper, 200 by default in the released code.
    batch_size, learning_rate, momentum, weight_decay : of SGD with a constant step. The paper gives the batch and the
        momentum; 0.05 and 1e-5 are the released code's.
    dropout : before fc6 and fc7.
    n_components : dimensions kept by PCA.
    reassign : epochs from one clustering to the next (Section 3.4); the head lives as long.
    clustering : "kmeans", or "pic" (power iteration clustering).
    kmeans_iterations : of faiss's k-means.
    split : what becomes of an empty cluster, see :func:`clustlib.kernels.kmeans`.
    sampler : "uniform" over the pseudo-labels (Section 3.3), or what the "released" code draws.
    feature_memory : bytes of features held in memory; more go to a scratch file.
    precision : {"float32", "bfloat16"}
        Of the network's products. bfloat16 is for a GPU's tensor cores, where convolutions then run channels last.
    workers : processes (for each of ``torchrun``'s) that decode image files ahead of their use; 0: none but this one.
    random_state : int; on one process also a RandomState, or None.
    device : "auto", "cpu", "cuda".
    checkpoint : a file, saved after each clustering, each epoch and every ``checkpoint_every`` batches.

    Attributes
    ----------
    network_ : the trained :class:`~clustlib.networks.convnet.ConvNet`.
    labels_ : (N,) int64, clusters of the final features; -1 for files that could not be read.
    embedding_ : (n, m) float32, the final features, whitened and of unit length, of the images that could be read.
    cluster_centers_ : (k, m) float32, of the clusters that have images, in the order of ``labels_``; with k-means only.
    history_ : one dict an epoch: ``epoch``, ``loss``, ``first_loss`` (of its first batch), ``largest_share`` (see
        :func:`clustlib.kernels.sampling.largest_share`), ``seconds_training``, ``seconds_waiting`` (of these, for
        crops) and ``images_per_second`` (of training, of all processes). An epoch that begins with a
        clustering also has ``nmi_previous`` (with the clusters of the one before; from the second on), ``nmi_labels``
        (where labels are given), ``n_empty``, ``n_clusters``, ``objective`` (of k-means) and seconds by part:
        ``seconds_`` with ``features``, ``pca`` and ``clustering``.
    image_size_ : pixels of the crops.
    previous_ : (N,) int64, the clusters that the last epoch was trained on.
    final_ : NMI of ``labels_`` with ``previous_`` and with the labels.
    files_ : the names of a folder's files, in the order of ``labels_``; None for an array.
    unreadable_ : dict of index to reason, for image files.

    Under ``torchrun``, with ``torch.distributed`` initialised, every process calls ``fit`` with the same arguments:
    batches and features are divided among them, gradients, batch norm and centroids are shared, and each ends with
    the same result.

    Torch's convolutions sum in another order with another number of threads, and training enlarges the last digits: the
    labels are the same only for the same seed, machine *and* number of threads (``torch.set_num_threads``).
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        network: Literal["alexnet", "vgg16"] = "alexnet",
        front: Input = "sobel",
        network_options: dict[str, Any] | None = None,
        image_size: int | None = None,
        epochs: int = 500,
        batch_size: int = 256,
        learning_rate: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 1e-5,
        dropout: float = 0.5,
        n_components: int = 256,
        reassign: int = 1,
        clustering: Literal["kmeans", "pic"] = "kmeans",
        kmeans_iterations: int = 20,
        split: Split = "released",
        sampler: Sampler = "uniform",
        feature_memory: int = 2 << 30,
        workers: int = 0,
        precision: Literal["float32", "bfloat16"] = "float32",
        random_state: Any = 0,
        device: str = "auto",
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 500,
        verbose: bool = True,
    ) -> None:
        self.n_clusters = n_clusters
        self.network = network
        self.front = front
        self.network_options = network_options
        self.image_size = image_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.n_components = n_components
        self.reassign = reassign
        self.clustering = clustering
        self.kmeans_iterations = kmeans_iterations
        self.split = split
        self.sampler = sampler
        self.feature_memory = feature_memory
        self.workers = workers
        self.precision = precision
        self.random_state = random_state
        self.device = device
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.verbose = verbose

    def _options(self) -> dict[str, dict[str, Any]]:
        """What its dict may hold."""
        return {"network_options": NETWORK_OPTIONS[self.network]}

    @whole
    def fit(self, images: Any, y: Any = None, after_epoch: AfterEpoch | None = None) -> Self:
        """Train on images without labels.

        Parameters
        ----------
        images : (N, 1 or 3, H, W), uint8 or floats in [0, 1]; an ``ImageSet``; or a folder, as its path or as a
            :class:`clustlib.datasets.folders.ImageFolder`, whose files are read as they are needed.
        y : (N,) labels, read by ``history_`` only.
        after_epoch : called with the epoch's entry of ``history_``, to which it may add numbers, its clusters (N,), and
            those of the clustering before (None at the first); before the epoch is saved.

        Raises
        ------
        ValueError : images of another shape or with NaN, more clusters than images, an unknown choice.
        """
        check_parameters(self)
        check_callable("after_epoch", after_epoch)
        self._processes = Processes()
        if self._processes.shared and not isinstance(self.random_state, (int, np.integer)):
            raise UsageError("random_state must be an integer, the same on all processes")
        self._device = _device.resolve(self.device)
        source = image_source(images, self.image_size)
        if len(source) < 2:
            raise UsageError(f"needs at least 2 images, got {len(source)}")
        self._k = number_of_clusters(self.n_clusters, len(source)) if self.clustering == "kmeans" else 0
        labels = check_truth(y, len(source))
        same = identity(self, ("epochs", "workers"), images=source.checksum(), size=source.size)
        self.files_ = source.files
        self._seed, self.image_size_ = seed_of(self.random_state), source.size
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            self._fit(source, labels, Checkpoint(self.checkpoint, same), after_epoch)
        self.unreadable_ = self._processes.together(source.unreadable)
        if self._k and self._processes.rank == 0:
            warn_of_fewer(self.labels_, self._k)
        return self

    def _build(self, size: int) -> ConvNet:
        seed_torch(self._seed, _NETWORK)
        return self._made(size)

    def _made(self, size: int) -> ConvNet:
        options = {"front": self.front, "dropout": self.dropout, **(self.network_options or {})}
        return _NETWORKS[self.network](size, **options).to(self._device)  # type: ignore[arg-type]

    def _fit(
        self,
        source: ArrayImages | FolderImages,
        labels: np.ndarray | None,
        checkpoint: Checkpoint,
        after_epoch: AfterEpoch | None,
    ) -> None:
        state = checkpoint.load(self._device, most=self.epochs)
        if state is not None:
            self._seed = state["seed"]  # where random_state is None, it is another one by now
        self.network_ = self._build(source.size)
        names = ("learning_rate", "momentum", "weight_decay", "batch_size", "workers", "precision")
        how: Any = {name: getattr(self, name) for name in names}
        training = Classification(self.network_, source, self._processes, self._device, seed=self._seed, **how)
        self.history_: list[dict[str, float]] = [] if state is None else state["history"]
        self._previous: np.ndarray | None = None
        interrupted = self._resume(training, state)
        quiet = not self.verbose or self._processes.rank > 0
        bar = tqdm(range(len(self.history_), self.epochs), desc="DeepCluster epochs", disable=quiet)
        for number in bar:
            epoch = interrupted or self._begin(source, number, labels, training)
            interrupted = None
            self._train(training, epoch, checkpoint)
            self.history_.append(epoch.entry)
            if after_epoch:
                after_epoch(epoch.entry, epoch.clusters, self._previous)
            self._previous = epoch.clusters
            self._save(checkpoint, training, epoch.clusters)
            bar.set_postfix(loss=epoch.entry["loss"], nmi_previous=epoch.entry.get("nmi_previous", np.nan))
        self.labels_, rows, _ = self._cluster(source, self.epochs)
        self.embedding_ = self._processes.gather(rows)
        self.final_, self.previous_ = self._agreement(self.labels_, labels), self._previous

    def _resume(self, training: Classification, state: dict[str, Any] | None) -> _Epoch | None:
        """The epoch that was interrupted; None between epochs."""
        if state is None:
            return None
        training.load(state["training"])
        clusters = state["clusters"].cpu().numpy()
        if state["entry"] is None:
            self._previous = clusters
            return None
        self._previous = None if state["previous"] is None else state["previous"].cpu().numpy()
        return _Epoch(state["entry"], clusters, state["losses"])

    def _save(
        self,
        checkpoint: Checkpoint,
        training: Classification,
        clusters: np.ndarray,
        entry: dict[str, float] | None = None,
        losses: list[float] | None = None,
    ) -> None:
        """Between epochs ``clusters`` are the epoch before's; within one they are this one's, with its entry so far."""
        if self._processes.rank == 0 and checkpoint.path is not None:
            previous = None if entry is None or self._previous is None else torch.from_numpy(self._previous)
            checkpoint.save(
                {
                    "seed": self._seed,
                    "training": training.state(),
                    "clusters": torch.from_numpy(clusters),
                    "previous": previous,
                    "history": self.history_,
                    "entry": entry,
                    "losses": losses,
                }
            )
        self._processes.barrier()

    def _begin(
        self, source: ArrayImages | FolderImages, epoch: int, labels: np.ndarray | None, training: Classification
    ) -> _Epoch:
        """Cluster, and put a new head on the network; or go on with both where it is not yet time to."""
        if epoch % self.reassign and self._previous is not None:
            return _Epoch({"epoch": epoch}, self._previous, [])
        clusters, _, entry = self._cluster(source, epoch)
        training.new_head(max(self._k, int(clusters.max()) + 1), epoch)
        return _Epoch({"epoch": epoch, **entry, **self._agreement(clusters, labels)}, clusters, [])

    def _agreement(self, found: np.ndarray, labels: np.ndarray | None) -> dict[str, float]:
        """NMI with the clusters of the epoch before and with the labels (Section 4.1)."""
        scores = {}
        for name, other in (("nmi_previous", self._previous), ("nmi_labels", labels)):
            if other is not None:
                both = (found >= 0) & ((other >= 0) if name == "nmi_previous" else True)
                scores[name] = metrics.nmi(other[both], found[both], average="geometric")
        return scores

    def _train(self, training: Classification, epoch: _Epoch, checkpoint: Checkpoint) -> None:
        """Predict the clusters for one pass over images drawn by the sampler."""
        entry, clusters, losses = epoch
        number = int(entry["epoch"])
        draws = draw_epoch(clusters, seeded(self._seed, number, _SAMPLER), self.sampler)
        entry["largest_share"] = largest_share(draws.targets)
        clock = time.perf_counter()
        spent = {name: entry.get(name, 0.0) for name in ("seconds_training", "seconds_waiting")}

        def time_it() -> None:
            entry["seconds_training"] = spent["seconds_training"] + time.perf_counter() - clock
            entry["seconds_waiting"] = spent["seconds_waiting"] + training.seconds_waiting

        def keep(done: list[float]) -> None:
            time_it()
            self._save(checkpoint, training, clusters, entry, done)

        if not losses:
            self._save(checkpoint, training, clusters, entry, losses)
        losses = training.epoch(number, draws, losses, keep, self.checkpoint_every)
        time_it()
        entry |= {"loss": float(np.mean(losses)), "first_loss": losses[0]}
        entry["images_per_second"] = len(draws.images) / entry["seconds_training"]

    def _cluster(
        self, source: ArrayImages | FolderImages, epoch: int
    ) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
        """Clusters of all images (N,), -1 where one could not be read; the reduced features of this process's rows."""
        clock = [time.perf_counter()]
        own = np.arange(len(source))[self._processes.part(len(source))]
        store, moments, read = features.extract(
            self.network_, source, own, self._device, self.feature_memory, self.workers, self.precision
        )
        clock.append(time.perf_counter())
        moments.combine(self._processes.total)
        if not moments.count:
            raise UsageError(f"none of the {len(source)} image files can be read")
        if self.clustering == "kmeans":
            check_n_clusters(self._k, moments.count)
        rows, self.whitening_ = features.reduce(store, moments, self.n_components, self._device)
        clock.append(time.perf_counter())
        clusters, objective = self._assign(rows, moments.count, epoch)
        clock.append(time.perf_counter())
        labels = np.full(len(source), -1, dtype=np.int64)
        labels[self._processes.gather(read)] = clusters
        seconds = dict(zip(("seconds_features", "seconds_pca", "seconds_clustering"), np.diff(clock).tolist()))
        n_found = len(np.unique(clusters))
        n_empty = self._k - n_found if self.clustering == "kmeans" else 0
        return labels, rows, {"n_clusters": n_found, "n_empty": n_empty, "objective": objective, **seconds}

    def _assign(self, rows: np.ndarray, n_rows: int, epoch: int) -> tuple[np.ndarray, float]:
        """The clusters of the readable images of all processes, in order, without gaps; the last objective."""
        if self.clustering == "pic":
            everything = self._processes.gather(rows)
            return power_iteration_clusters(everything, device=self._device.type), 0.0
        seed = int(seeded(self._seed, epoch, _KMEANS).integers(2**31))
        how: Any = {"n_iter": self.kmeans_iterations, "split": self.split, "device": self._device}
        labels, centroids, objective = spread_kmeans(self._processes, rows, n_rows, self._k, seed=seed, **how)
        # released: outputs of the head are numbered over the clusters that have images
        numbers, labels = np.unique(labels, return_inverse=True)
        self.cluster_centers_ = centroids[numbers]
        return labels.astype(np.int64), objective[-1]

    @torch.no_grad()
    def transform(self, images: Any) -> np.ndarray:
        """Whitened features of unit length of the central crops, (N, m) float32; NaN where a file is damaged."""
        check_is_fitted(self)
        source = image_source(images, getattr(self, "image_size_", self.image_size))
        self.network_.eval()
        rows = np.full((len(source), self.whitening_.matrix.shape[1]), np.nan, dtype=np.float32)
        for first in range(0, len(source), features.BATCH):
            index = np.arange(first, min(first + features.BATCH, len(source)))
            crops, readable = source.central(index)
            if len(readable):
                embedded = features.embed(self.network_, crops.to(self._device), self.precision)
                rows[index[readable]] = self.whitening_(embedded).cpu().numpy()
        return rows

    def predict(self, images: Any) -> np.ndarray:
        """The clusters (N,) int64 of images by their nearest fitted ones' features; -1 where a file is damaged."""
        check_is_fitted(self)
        known = self.labels_[self.labels_ >= 0]
        return by_neighbours(self.embedding_, known, self.transform(images))

    def untrained(self, seed: int) -> ConvNet:
        """The network of this fit with the random weights of a seed, for a comparison with what was learnt."""
        check_is_fitted(self)
        with torch.random.fork_rng(devices=[]):
            seed_torch(seed, _NETWORK)
            return self._made(self.image_size_)

    def clusters_by_file(self) -> dict[str, int]:
        """The cluster of every file of the fitted folder by its name below it; -1 for one that could not be read.

        Raises
        ------
        UsageError : an array was fitted, which has no files.
        """
        check_is_fitted(self)
        if self.files_ is None:
            raise UsageError("an array was fitted: it has no files")
        return dict(zip(self.files_, self.labels_.tolist()))

    def _fitted(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {name: getattr(self, f"{name}_") for name in ("labels", "embedding")}
        whitening = {name: getattr(self.whitening_, name).cpu().numpy() for name in ("mean", "matrix")}
        facts = {"size": self.image_size_, "outputs": self.network_.head.out_features, "files": self.files_}
        return facts, {**arrays, **whitening, **weights_of(self.network_)}

    def _image_shape(self) -> tuple[int, ...]:
        return 3, self.image_size_, self.image_size_

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self._device, self._seed = _device.resolve(self.device), 0
        self.image_size_, self.labels_, self.embedding_ = facts["size"], arrays["labels"], arrays["embedding"]
        self.files_ = facts.get("files")  # files of an older release have none
        with torch.random.fork_rng(devices=[]):  # a new network draws weights, which are not wanted here
            self.network_ = self._build(self.image_size_)
            self.network_.new_head(facts["outputs"])
        self.network_.load_state_dict(state_of(arrays))
        mean, matrix = (torch.from_numpy(arrays[name]).to(self._device) for name in ("mean", "matrix"))
        self.whitening_ = Whitening(mean, matrix)
