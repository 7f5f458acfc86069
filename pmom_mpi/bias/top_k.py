"""Top-K: the entries of largest magnitude are sent, the rest is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from pmom_mpi.bias.base import Numbers, Step
from pmom_mpi.bias.sparsity import Sparsity
from pmom_mpi.bias.theory import Theory, contractive
from pmom_mpi.kernels.select import select_largest
from pmom_mpi.wire.message import Indices, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.layout import Layout


@dataclass(frozen=True)
class TopK(Sparsity):
    """Keep every entry whose magnitude is at least the K-th largest: |Q(g) - g|^2 <= (1 - K/d) |g|^2.

    Ties stay, as published, so the kept count may exceed K. Zeros are never sent: when the K-th largest magnitude is 0,
    all that is not zero goes, which is the same vector. A NaN counts as larger than everything, so that the server sees
    it. Alistarh et al. 2018, "The convergence of sparsified gradient methods"; Stich, Cordonnier, Jaggi 2018,
    "Sparsified SGD with memory". The published experiments use scope ``global``.

    Parameters
    ----------
    k : int, optional
        K; with scope ``layer`` of every tensor (all of a smaller one).
    fraction : float in (0, 1], optional
        K = ceil(fraction d), of the whole gradient or of every tensor. Exactly one of k and fraction is given.
    scope : {"global", "layer"}
        Over the flattened gradient, or within each tensor.

    Examples
    --------
    >>> from pmom_mpi.words.layout import Layout
    >>> step = Step(node=0, iteration=0, seed=0, layout=Layout.flat(4))
    >>> message, kept = TopK(k=2).compress(np.array([1, -3, 0.5, 2]), step)
    >>> message.support.indices.tolist(), message.values.array.tolist(), kept
    ([1, 3], [-3.0, 2.0], (2.0,))
    """

    scope: Literal["global", "layer"] = "global"

    def theory(self, layout: Layout) -> Theory:
        """K/d; with scope ``layer`` the least of the tensors' K/d."""
        return contractive(min((self.count(size) / size for size in self._sizes(layout) if size), default=1.0))

    def keeps(self, layout: Layout) -> int:
        return sum(self.count(size) for size in self._sizes(layout))

    def _sizes(self, layout: Layout) -> list[int]:
        return [layout.dimension] if self.scope == "global" else np.diff(layout.offsets).tolist()

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, Numbers]:
        """The kept coordinates and their values, in scratch; statistics: how many."""
        size = gradient.size
        indices = step.buffer("indices", size, np.uint32)
        values = step.buffer("values", size, gradient.dtype)
        work = step.buffer("work", size, np.dtype(f"u{gradient.itemsize}"))
        bounds = [0, size] if self.scope == "global" else step.layout.offsets.tolist()
        kept = 0
        for begin, end in pairwise(bounds):
            if begin == end:
                continue
            found = indices[kept : kept + end - begin]
            many = select_largest(gradient[begin:end], self.count(end - begin), found, values[kept:], work)
            found[:many] += np.uint32(begin)
            kept += many
        return Message(size, Indices(indices[:kept]), Raw(values[:kept])), (float(kept),)
