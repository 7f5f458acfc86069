"""How a model's tensors lie in one flat parameter vector."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the tensors that, one after the other in C order, make the flat vector x in R^d.

    Parameters
    ----------
    names : tuple of str
        One name a tensor, ``("weight1", "bias1", ...)``.
    shapes : tuple of tuple of int
        One shape a tensor.

    Examples
    --------
    >>> layout = Layout(("weight", "bias"), ((2, 3), (2,)))
    >>> layout.dimension
    8
    >>> [view.shape for view in layout.views(np.zeros(8))]
    [(2, 3), (2,)]
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def flat(cls, dimension: int) -> Layout:
        """The layout of a model that is a single vector."""
        return cls(("x",), ((dimension,),))

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64, shape (number of tensors + 1,): tensor t is ``x[offsets[t]:offsets[t + 1]]``."""
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in self.shapes]
        return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))

    @property
    def dimension(self) -> int:
        """d, the length of the flat vector."""
        return int(self.offsets[-1])

    def views(self, flat: np.ndarray) -> list[np.ndarray]:
        """The tensors as views into ``flat`` (shape (d,), contiguous); nothing is copied."""
        bounds = self.offsets
        return [flat[bounds[t] : bounds[t + 1]].reshape(shape) for t, shape in enumerate(self.shapes)]
