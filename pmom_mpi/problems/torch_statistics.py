"""Running statistics of batch norms: one sequence over the nodes' batches, wherever the nodes live.

PyTorch's batch norm moves its running mean and variance r on with every training batch, r = (1 - m) r + m s, where s is
what it measured on the batch. A loop over the nodes in one process, as in the experiments of Beikmohammadi, Khirirat,
Magnusson (2025), does so node by node. Here every node's s is its share (measured with m = 1), and the server goes
through the shares in node order with the same formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from pmom_mpi.words.errors import UserError

NAMES = ("running_mean", "running_var")


class RunningStatistics:
    """All running means and variances of a module, as two flat vectors.

    Attributes
    ----------
    state : ndarray, shape (s,)
        r, used in evaluation mode; s = 0 for a module without batch norms.
    share : ndarray, shape (s,)
        s of the last training batch.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._norms: list[Any] = [part for part in module.modules() if getattr(part, NAMES[0], None) is not None]
        for part in self._norms:
            if part.momentum is None:
                raise UserError(
                    f"problem.model: a {type(part).__name__} with momentum=None is not supported; give it one"
                )
        tensors = [getattr(part, name) for part in self._norms for name in NAMES]
        self._sizes = [len(tensor) for tensor in tensors]
        self._momenta = [part.momentum for part in self._norms]
        kind = next(module.parameters())
        flat = torch.cat([torch.empty(0, dtype=kind.dtype, device=kind.device), *tensors])
        self._device = flat.device
        self.state = flat.cpu().numpy()
        self.share = np.zeros_like(self.state)
        weights = [momentum for momentum in self._momenta for _ in NAMES]
        self._weights = np.repeat(np.array(weights, self.state.dtype), self._sizes)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Inside, a forward pass leaves the batch's own statistics, which are in ``share`` afterwards."""
        flat = torch.zeros(self.share.size, dtype=torch.from_numpy(self.share).dtype, device=self._device)
        self._place(flat)
        for part in self._norms:
            part.momentum = 1.0
        try:
            yield
        finally:
            for part, momentum in zip(self._norms, self._momenta, strict=True):
                part.momentum = momentum
        torch.from_numpy(self.share).copy_(flat)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, batch norms normalise by ``state``."""
        self._place(torch.from_numpy(self.state).to(self._device))
        yield

    def advance(self, shares: np.ndarray) -> None:
        """``state`` after the batches whose statistics are the rows of ``shares`` (float64, shape (n, s))."""
        for share in shares.astype(self.state.dtype):
            self.state[:] = self._weights * share + (1 - self._weights) * self.state

    def _place(self, flat: torch.Tensor) -> None:
        """Let every running mean and variance be a view of ``flat``."""
        views = iter(flat.split(self._sizes))
        for part in self._norms:
            for name in NAMES:
                setattr(part, name, next(views))
