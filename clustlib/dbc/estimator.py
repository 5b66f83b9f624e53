"""Discriminatively boosted clustering: encoder and centres trained together (Li et al., 2017, Algorithms 1 and 2)."""

import copy
import itertools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClusterMixin, clone
from torch.nn import functional as F
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._arrays import shown
from clustlib._images import check_images
from clustlib._validation import (
    check_callable,
    check_parameters,
    check_trained,
    choices,
    integers,
    numbers,
    seed_of,
    warn_of_fewer,
    whole,
)
from clustlib.checkpoints import Checkpoint, content_hash, identity
from clustlib.dbc.choices import AS_WRITTEN
from clustlib.dbc.features import FCAEFeatures, network_of
from clustlib.dbc.linear_code import discriminant_encoder, has_linear_code, with_code
from clustlib.dbc.minibatch import TRAINING, as_tensor, optimizer_of, over_all, settle_batch_norm, settling, shuffled
from clustlib.dbc.start import CHOICES, averaged, kmeans_start
from clustlib.errors import UsageError
from clustlib.kernels.boosting import NORMALISATIONS, boosted_target
from clustlib.kernels.soft_assignment import boosted_kl, soft_assign
from clustlib.saving import System, state_of, weights_of

Monitor = Callable[[int, np.ndarray, np.ndarray], dict[str, Any]]


class DBC(System, ClusterMixin, BaseEstimator):
    """Cluster images by a convolutional encoder that learns from its own, boosted, soft assignments.

    Stage I trains an auto-encoder and takes the k-means centres of its codes. Stage II drops the decoder and trains
    encoder and centres on the divergence between the soft assignments and a target that raises the high ones;
    the target is made over all images once an epoch. Training stops when no image changes its cluster.

    The paper names no optimiser, learning rate, batch size or number of epochs: the defaults here are this book's.

    Parameters
    ----------
    n_clusters : int
    features : the auto-encoder: an :class:`FCAEFeatures`, fitted (it is left as it is) or not (a copy is fitted);
        None takes one with its defaults and this estimator's seed.
    alpha : boosting factor of Eq. (2).
    v : degrees of freedom of Eq. (1).
    radius : codes are scaled to this length before Eq. (1); None takes them as they are.
    normalisation : balance factor n_j of section 4.3.2: "boosted" (the paper's), "soft" (DEC's) or "none".
    epochs : T, passes over the images at most.
    batch_size : m_b, images to a step.
    learning_rate, weight_decay, optimizer : of encoder and centres; "adam", or "sgd" with momentum 0.9.
    center_rate : the learning rate of the centres over that of the encoder.
    updates : B of Algorithm 2, steps from one target to the next; None takes a pass over the images.
    decay : factor of the learning rate from one epoch to the next. At a constant rate a few images in a thousand change
        their clusters for ever, and the clusters drift.
    settle : whether the batch-norm statistics that scores are computed with are taken anew after each epoch, from
        at most 10,240 images; False keeps the running ones, which lag behind where an epoch has few steps.
    frozen : whether batch normalisation keeps the statistics of stage I, in the steps too; ``settle`` has no part then.
    n_init : restarts of the k-means start.
    start : which of them is taken: "distortion", that of the smallest, or "even", that of the most even clusters among
        those of nearly the smallest; "density-peaks" takes none and begins at the peaks of density.
    smoothing, n_neighbors : k-means sees each code averaged that many times with those of its nearest neighbours, so
        that classes are compact; 0 takes the codes as they are, which is what the paper says. The network and
        the centres know nothing of it: the centres are the means of the clusters' own codes.
    discriminant : whether the encoder that stage II trains has, in place of a linear code, its k - 1 directions that
        tell the start's clusters apart (Fisher), with identity covariance within them; False keeps the code as
        stage I left it, which is what the paper says.
    random_state : int, RandomState or None.
    device : "auto", "cpu" or "cuda".
    checkpoint : a file; saved after every epoch and resumed exactly. Stage I keeps its own beside it (``.stage-1``).

    Attributes
    ----------
    labels_ : (N,) int64, the cluster of the largest score.
    soft_assignments_ : (N, k) float32, S of Eq. (1).
    embedding_ : (N, d) float32 codes.
    cluster_centers_ : (k, d) float32.
    start_labels_ : (N,) int64, the k-means clusters that training began from.
    features_ : the fitted :class:`FCAEFeatures`. model_ : the trained encoder.
    history_ : one dict an epoch: epoch, loss (mean KL of an image, in nats), changed (share of the images that
        changed cluster), smallest and largest (cluster sizes), score (mean of the largest score), seconds, and what
        the monitor returned.
    n_iter_ : epochs trained. converged_ : whether no assignment changed in the last one.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TRAINING,
        "n_clusters": [integers(1)],
        "features": "no_validation",  # an FCAEFeatures that may be fitted already: looked at with the images
        "alpha": [numbers(0, closed="neither")],
        "v": [numbers(0, closed="neither")],
        "radius": [numbers(0, closed="neither"), None],
        "normalisation": [choices(*NORMALISATIONS)],
        "decay": [numbers(0, 1, closed="right")],
        "center_rate": [numbers(0)],
        "updates": [integers(1), None],
        "settle": ["boolean"],
        "frozen": ["boolean"],
        "n_init": [integers(1)],
        "start": [choices(*CHOICES)],
        "smoothing": [integers(0)],
        "n_neighbors": [integers(1)],
        "discriminant": ["boolean"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        features: FCAEFeatures | None = None,
        alpha: float = 2.0,
        v: float = 1.0,
        radius: float | None = 3.0,
        normalisation: str = "boosted",
        epochs: int = 50,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        center_rate: float = 1.0,
        updates: int | None = None,
        decay: float = 0.94,
        settle: bool = True,
        frozen: bool = False,
        n_init: int = 20,
        start: str = "distortion",
        smoothing: int = 32,
        n_neighbors: int = 5,
        discriminant: bool = True,
        random_state: Any = None,
        device: str = "auto",
        checkpoint: str | Path | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.features = features
        self.alpha = alpha
        self.v = v
        self.radius = radius
        self.normalisation = normalisation
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.center_rate = center_rate
        self.updates = updates
        self.decay = decay
        self.settle = settle
        self.frozen = frozen
        self.n_init = n_init
        self.start = start
        self.smoothing = smoothing
        self.n_neighbors = n_neighbors
        self.discriminant = discriminant
        self.random_state = random_state
        self.device = device
        self.checkpoint = checkpoint

    @classmethod
    def as_written(cls, n_clusters: int = 10, **settings: Any) -> Self:
        """Algorithms 1 and 2 with nothing that the text does not have; ``settings`` are arguments that replace these.

        K-means on the code as it is, no sphere, no averaging, no discriminants, a constant rate. What the text leaves
        open is as in networks of 2016. Stage I is :meth:`FCAEFeatures.as_written`, with this estimator's seed.
        """
        if settings.get("features") is None:
            settings = {**settings, "features": FCAEFeatures.as_written(random_state=settings.get("random_state"))}
        return cls(n_clusters, **{**AS_WRITTEN[1], **settings})

    @whole
    def fit(self, X: Any, y: Any = None, monitor: Monitor | None = None) -> Self:
        """Cluster (N, C, H, W) images, uint8 or floats in [0, 1]; an ``ImageSet``, or a folder of image files.

        Parameters
        ----------
        monitor : called as ``monitor(epoch, S, Z)`` with the scores (N, k) and codes (N, d) before the first epoch
            (epoch 0) and after each; the dict of numbers, texts and tensors that it returns joins ``history_``.

        Raises
        ------
        ValueError : wrong rank, empty, NaN, fewer images than clusters, an unknown option, another fit's checkpoint.
        """
        check_parameters(self)
        check_callable("monitor", monitor)
        X = check_images(X, self.n_clusters)
        self._check_features(X.shape[1:])
        same = identity(self, ("epochs", "features"), data=content_hash(X), stage=2)
        seed = seed_of(self.random_state)
        self.features_ = self._fitted_features(X, seed)
        device = _device.resolve(self.device)
        self.model_ = copy.deepcopy(self.features_.encoder_).to(device)
        self.history_: list[dict[str, Any]] = []
        self._train(as_tensor(X, device), seed, self._checkpoint(same), monitor)
        warn_of_fewer(self.labels_, self.n_clusters)
        return self

    def _check_features(self, shape: tuple[int, ...]) -> None:
        if self.features is None:
            return
        if not isinstance(self.features, FCAEFeatures):
            raise UsageError(f"features must be an FCAEFeatures, got {type(self.features).__name__}")
        trained = getattr(self.features, "model_", None)
        if trained is not None and trained.shape != shape:
            raise UsageError(f"the features were fitted to images of {trained.shape}, these are {shape}")

    def _fitted_features(self, X: np.ndarray, seed: int) -> FCAEFeatures:
        """Line 1 of Algorithm 1, unless the features given are fitted already."""
        if self.features is not None and hasattr(self.features, "model_"):
            return self.features
        drawn = None if self.random_state is None else seed  # a seed of its own would make a killed fit another one
        features = FCAEFeatures(random_state=drawn) if self.features is None else clone(self.features)
        Checkpoint(self.checkpoint, {})  # a place that cannot hold a fit is refused before any work
        if self.checkpoint is not None and features.checkpoint is None:
            features.set_params(checkpoint=Path(f"{self.checkpoint}.stage-1"))
        return features.set_params(device=self.device).fit(X)

    def _checkpoint(self, same: dict[str, Any]) -> Checkpoint:
        weights = [value.cpu().numpy() for value in self.features_.encoder_.state_dict().values()]
        return Checkpoint(self.checkpoint, {**same, "features": content_hash(*weights)})

    def _train(self, images: torch.Tensor, seed: int, kept: Checkpoint, monitor: Monitor | None) -> None:
        """Lines 2 to 15 of Algorithms 1 and 2, from the last epoch kept on."""
        state = kept.load(images.device, most=self.epochs + 1)  # the start is an entry, too
        if state is None:
            start = self._start(images, seed)
            if self._turned(start):
                clusters = torch.from_numpy(start).to(images.device)
                self.model_ = discriminant_encoder(self.model_, images, self.features_.scaling, clusters)
            codes = self._all_codes(images)
            members = F.one_hot(torch.from_numpy(start), self.n_clusters).to(codes)
            centers = members.T @ codes / members.sum(0)[:, None].clamp(min=1)
        else:
            if self._turned(state["start"].cpu().numpy()):
                length = len(state["model"]["features.0.weight"])
                shape = (self.model_.code_length, length)
                self.model_ = with_code(self.model_, torch.zeros(shape, dtype=torch.double, device=images.device))
            self.model_.load_state_dict(state["model"])
            self.history_, start, centers = state["history"], state["start"].cpu().numpy(), state["centers"]
            codes = self._all_codes(images)
        self.start_labels_, self._centers = start, torch.nn.Parameter(centers.to(images.device))
        learnt = [{"params": self.model_.encoder_parameters()}, {"params": [self._centers]}]
        optimizer = optimizer_of(self.optimizer, learnt, self.learning_rate, self.weight_decay)
        drawn = torch.Generator().manual_seed(seed)
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
            drawn.set_state(state["drawn"].cpu())
        scores = self._scores(codes)
        if state is None:
            self._note({"epoch": 0}, scores, codes, None, monitor)
        basis = settling(images) if self.settle and not self.frozen else None
        bar = tqdm(range(len(self.history_), self.epochs + 1), desc="DBC", unit="epoch", leave=False)
        for epoch in bar:
            if self.history_[-1].get("changed") == 0:
                break
            clock, before = time.perf_counter(), scores.argmax(1)
            for group, factor in zip(optimizer.param_groups, (1.0, self.center_rate)):
                group["lr"] = self.learning_rate * self.decay ** (epoch - 1) * factor
            loss = self._epoch(images, scores, optimizer, drawn)
            if basis is not None:
                settle_batch_norm(self.model_, self.model_.encode, basis, self.features_.scaling)
            codes = self._all_codes(images)
            check_trained([codes, self._centers])
            scores = self._scores(codes)
            entry = {"epoch": epoch, "loss": loss, "seconds": time.perf_counter() - clock}
            self._note(entry, scores, codes, before, monitor)
            bar.set_postfix(loss=f"{loss:.4f}", changed=f"{self.history_[-1]['changed']:.4f}")
            states = {"model": self.model_.state_dict(), "optimizer": optimizer.state_dict()}
            states |= {"drawn": drawn.get_state(), "centers": self._centers.detach(), "history": self.history_}
            kept.save({**states, "start": torch.from_numpy(start)})
        self._keep(scores, codes)

    def _start(self, images: torch.Tensor, seed: int) -> np.ndarray:
        codes = over_all(self.model_.eval().encode, images, self.features_.scaling).cpu().numpy()
        codes = averaged(codes, self.n_neighbors, self.smoothing, self.device)
        return kmeans_start(codes, self.n_clusters, self.n_init, self.start, seed)

    def _turned(self, start: np.ndarray) -> bool:
        """Whether the code is replaced by the discriminants of these clusters: there must be two, and none empty."""
        n_clusters = len(np.unique(start))
        return self.discriminant and has_linear_code(self.model_) and n_clusters == self.n_clusters > 1

    def _codes(self, batch: torch.Tensor) -> torch.Tensor:
        codes = self.model_.encode(batch)
        return codes if self.radius is None else self.radius * F.normalize(codes)

    def _all_codes(self, images: torch.Tensor) -> torch.Tensor:
        self.model_.eval()
        return over_all(self._codes, images, self.features_.scaling)

    def _scores(self, codes: torch.Tensor) -> torch.Tensor:
        return soft_assign(codes, self._centers.detach(), self.v)

    def _epoch(
        self, images: torch.Tensor, scores: torch.Tensor, optimizer: torch.optim.Optimizer, drawn: torch.Generator
    ) -> float:
        """Lines 8 to 13: the target over all images, then B steps; the mean loss of an image on the way."""
        target = boosted_target(scores, self.alpha, self.normalisation)
        self.model_.train(not self.frozen)
        total, seen = torch.zeros((), device=images.device), 0
        for index, batch in self._batches(images, drawn):
            loss = boosted_kl(self._codes(batch), self._centers, target[index.to(images.device)], self.v)
            optimizer.zero_grad(set_to_none=True)
            (loss / len(index)).backward()
            optimizer.step()
            total += loss.detach()
            seen += len(index)
        return float(total) / (len(images) if self.updates is None else seen)

    def _batches(self, images: torch.Tensor, drawn: torch.Generator) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """The mini-batches between two targets: one pass over the images, or B of them in passes without an end."""
        passes = (shuffled(images, self.batch_size, drawn, self.features_.scaling) for _ in itertools.count())
        return (
            next(passes)
            if self.updates is None
            else itertools.islice(itertools.chain.from_iterable(passes), self.updates)
        )

    def _note(
        self,
        entry: dict[str, Any],
        scores: torch.Tensor,
        codes: torch.Tensor,
        before: torch.Tensor | None,
        monitor: Monitor | None,
    ) -> None:
        """Append an epoch to the history: how settled and how even the clusters are, without any label."""
        labels = scores.argmax(1)
        sizes = torch.bincount(labels, minlength=self.n_clusters)
        entry |= {"smallest": int(sizes.min()), "largest": int(sizes.max()), "score": float(scores.amax(1).mean())}
        if before is not None:
            entry["changed"] = float((labels != before).float().mean())
        if monitor is not None:
            more = monitor(entry["epoch"], scores.cpu().numpy(), codes.cpu().numpy())
            if not isinstance(more, dict):
                raise UsageError(f"monitor must return a dict, got {shown(more)}")
            entry |= more
        self.history_.append(entry)

    def _keep(self, scores: torch.Tensor, codes: torch.Tensor) -> None:
        self.soft_assignments_ = scores.cpu().numpy()
        self.labels_ = self.soft_assignments_.argmax(1).astype(np.int64)
        self.embedding_ = codes.cpu().numpy()
        self.cluster_centers_ = self._centers.detach().cpu().numpy()
        self.n_iter_ = self.history_[-1]["epoch"]
        self.converged_ = self.history_[-1].get("changed") == 0

    def transform(self, X: Any) -> np.ndarray:
        """The codes of (N, C, H, W) images, (N, d) float32."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        device = next(self.model_.parameters()).device
        images = as_tensor(check_images(X, shape=self.model_.shape), device)
        return self._all_codes(images).cpu().numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """The scores of Eq. (1) of (N, C, H, W) images, (N, k) float32."""
        return soft_assign(self.transform(X), self.cluster_centers_, self.v)

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each image, (N,) int64."""
        return self.predict_proba(X).argmax(1).astype(np.int64)

    def _fitted(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        chosen = {name: getattr(self.features_, name) for name in ("unpooling", "code", "scaling", "normalised")}
        arrays = {name: getattr(self, f"{name}_") for name in ("labels", "embedding", "cluster_centers")}
        return {"shape": list(self.model_.shape), "features": chosen}, {**arrays, **weights_of(self.model_)}

    def _image_shape(self) -> tuple[int, ...]:
        return tuple(self.model_.shape)

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.features_ = FCAEFeatures(**facts["features"])
        chosen = (facts["shape"], self.features_.code, self.features_.unpooling)
        network = network_of(*chosen, state_of(arrays), self.features_.normalised)
        self.model_ = network.to(_device.resolve(self.device))
        for name in ("labels", "embedding", "cluster_centers"):
            setattr(self, f"{name}_", arrays[name])
