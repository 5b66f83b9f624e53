"""The alternation of section 3.3: factors by Eq. (6), then a step of the last hidden layers on |X - H W|²."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clustlib._device import resolve
from clustlib._validation import seed_of
from clustlib.checkpoints import Checkpoint
from clustlib.kernels.gsnmf import Penalty, Statistics, update_basis, update_coefficients


class FineTuning:
    """One fine-tuning: ``model`` is a fitted FCN, ``hidden`` (N, ...) what goes into the layers that are trained."""

    def __init__(self, model: Any, hidden: np.ndarray, checkpoint: Checkpoint) -> None:
        self.model, self.hidden, self.checkpoint = model, hidden, checkpoint
        self.device = resolve(model.device)
        self.penalty = Penalty(model.l1, model.l2)
        self.network = model.network_.to(self.device)
        self.H, self.W = (
            torch.from_numpy(a).to(self.device)
            for a in (model.factorisation_.embedding_, model.factorisation_.components_)
        )
        self.statistics = Statistics.zeros(self.W)
        layer = self.network.last_hidden.requires_grad_(True)  # folding a batch norm leaves a bias that asks for none
        self.optimiser = torch.optim.SGD(layer.parameters(), model.learning_rate, momentum=0.9)
        self.random = torch.Generator().manual_seed(seed_of(model.random_state))
        self.history: list[dict[str, Any]] = []
        self._resume()

    def run(self) -> list[dict[str, Any]]:
        """Train to ``model.epochs`` epochs and return one ``{"stage", "epoch", "loss"}`` each."""
        from tqdm.auto import tqdm

        with tqdm(total=self.model.epochs, initial=len(self.history), desc="fine-tuning", leave=False) as bar:
            while len(self.history) < self.model.epochs:
                loss = self._epoch()
                self.history.append({"stage": "fine-tune", "epoch": len(self.history) + 1, "loss": loss})
                self._save()
                bar.update()
                bar.set_postfix(loss=f"{loss:.4f}")
        return self.history

    def _epoch(self) -> float:
        order, size = torch.randperm(len(self.hidden), generator=self.random), self.model.batch_size
        keep = self.model.forget_factor ** (size / len(order)) if self.model.forget_factor else 0.0
        total = 0.0
        for start in range(0, len(order), size):
            rows = order[start : start + size].sort().values  # in order on disk
            total += self.step(rows, keep) * len(rows)
        return total / len(order)

    def step(self, rows: Tensor, keep: float) -> float:
        """One mini-batch: its activations, Eq. (6), a step of the optimiser. Returns the mean of |x - h W|²."""
        inner = torch.from_numpy(self.hidden[rows.numpy()]).to(self.device).float()
        with torch.enable_grad():
            x = F.normalize(self.network.head(inner))
            h = self.update_factors(x.detach(), rows.to(self.device), keep)
            loss = (x - h @ self.W).square().sum(1).mean()
            self.optimiser.zero_grad()
            loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def update_factors(self, x: Tensor, rows: Tensor, keep: float) -> Tensor:
        """Eq. (6) on a batch; returns its new coefficients."""
        h = self.H[rows]
        self.statistics.fade(keep)
        options = {"products": self.model.products}
        update_coefficients(x, h, self.W, self.penalty, statistics=self.statistics, **options)
        norms = update_basis(self.W, self.statistics, basis_norm=self.model.basis_norm, **options)
        if self.model.basis_norm == "compensated":
            h *= norms
        self.H[rows] = h
        return h

    def _resume(self) -> None:
        saved = self.checkpoint.load(self.device, most=self.model.epochs)
        if saved is None:
            return
        self.H, self.W = saved["H"], saved["W"]
        self.statistics = Statistics(saved["HX"], saved["HH"])
        self.network.last_hidden.load_state_dict(saved["layer"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.random.set_state(saved["random"].cpu())
        self.history = saved["history"]

    def _save(self) -> None:
        self.checkpoint.save(
            {
                "H": self.H,
                "W": self.W,
                "HX": self.statistics.HX,
                "HH": self.statistics.HH,
                "layer": self.network.last_hidden.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "random": self.random.get_state(),
                "history": self.history,
            }
        )
