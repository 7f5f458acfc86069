"""Which rows of its shard a node uses in an iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.words.errors import UserError
from pmom_mpi.words.streams import Stream, generator

Order = Literal["replacement", "reshuffle", "shuffle_once", "cyclic"]


@dataclass(frozen=True)
class Batch:
    """How a node draws its samples; the config's ``gradient`` section.

    Parameters
    ----------
    size : int or "full"
        Samples a node and iteration; "full" is the whole shard, without a copy.
    order : str
        ``replacement`` draws independently; ``reshuffle`` goes through a new permutation every epoch, ``shuffle_once``
        through the same one, ``cyclic`` through the shard as it lies. An epoch of m samples has ceil(m / size) batches,
        the last one smaller when size does not divide m.

    Examples
    --------
    >>> Batch(size=2, order="cyclic").rows(5, seed=0, node=0, iteration=2)
    slice(4, 5, None)
    """

    size: Annotated[int, Field(ge=1)] | Literal["full"] = "full"
    order: Order = "reshuffle"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_epochs", {})  # no field: it is no key of the config

    def check(self, shard_sizes: Sequence[int]) -> None:
        """Raise `UserError` when a shard has fewer samples than a batch."""
        if self.size != "full" and self.size > min(shard_sizes):
            raise UserError(
                f"gradient.batch: {self.size} is more than the {min(shard_sizes)} samples of the smallest shard; "
                "choose a smaller batch or 'full'"
            )

    def count(self, samples: int, iteration: int) -> int:
        """How many rows of a shard of ``samples`` samples `rows` gives in an iteration.

        Examples
        --------
        >>> [Batch(size=2).count(5, iteration) for iteration in range(4)]
        [2, 2, 1, 2]
        """
        if self.size == "full":
            return samples
        if self.order == "replacement":
            return self.size
        return min(self.size, samples - iteration % -(-samples // self.size) * self.size)

    def sizes(self, samples: int) -> set[int]:
        """The sizes of all batches of a shard of ``samples`` samples."""
        return {self.count(samples, 0), self.count(samples, -1)}

    def smallest(self, samples: int) -> int:
        """The fewest samples that a batch from a shard of ``samples`` samples has.

        Examples
        --------
        >>> Batch(32).smallest(33), Batch(32, "replacement").smallest(33), Batch().smallest(33)
        (1, 32, 33)
        """
        return min(self.sizes(samples))

    def rows(self, samples: int, seed: int, node: int, iteration: int) -> slice | np.ndarray:
        """Rows into a shard of ``samples`` samples: a slice, or an int64 array."""
        if self.size == "full":
            return slice(0, samples)
        if self.order == "replacement":
            return generator(seed, Stream.BATCH, node, iteration).integers(samples, size=self.size)
        epoch, place = divmod(iteration, -(-samples // self.size))
        begin, end = place * self.size, min((place + 1) * self.size, samples)
        if self.order == "cyclic":
            return slice(begin, end)
        return self._permutation(samples, seed, node, epoch if self.order == "reshuffle" else 0)[begin:end]

    def _permutation(self, samples: int, seed: int, node: int, epoch: int) -> np.ndarray:
        """The epoch's permutation, kept until the node's next epoch; a function of its arguments only."""
        key = (seed << 32) ^ node
        epochs: dict[int, tuple[int, np.ndarray]] = self._epochs  # type: ignore[attr-defined]
        known = epochs.get(key)
        if known is None or known[0] != epoch or len(known[1]) != samples:
            known = epochs[key] = (epoch, generator(seed, Stream.BATCH, node, epoch).permutation(samples))
        return known[1]
