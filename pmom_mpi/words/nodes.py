"""Which node works when, and which rank hosts it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass


def turns(total: int, hosted: Iterable[int] | None = None) -> list[int]:
    """The order in which nodes work and in which the server adds what they send: that of their reversed binary digits.

    It depends on the number of nodes alone, so a sum has the same bits on any number of ranks. Every stretch of it is
    spread evenly over all nodes, so blocks of nodes on equally fast ranks come forward side by side, and the server can
    add nearly everything as it arrives. In the plain order it would have to keep all of one rank's payloads until those
    of the ranks before were through. With ``hosted`` only the turns of these nodes.

    Examples
    --------
    >>> turns(10)
    [0, 8, 4, 2, 6, 1, 9, 5, 3, 7]
    """
    digits = max(1, (total - 1).bit_length())
    return sorted(range(total) if hosted is None else hosted, key=lambda node: f"{node:0{digits}b}"[::-1])


def block(total: int, parts: int, part: int) -> range:
    """The ``part``-th of ``parts`` contiguous, nearly equal blocks of ``range(total)``.

    Examples
    --------
    >>> [block(5, 2, part) for part in range(2)]
    [range(0, 3), range(3, 5)]
    """
    size, rest = divmod(total, parts)
    start = part * size + min(part, rest)
    return range(start, start + size + (part < rest))


def repeated(nodes: Iterable[int], times: int) -> list[int]:
    """Every node so many times, one after the other.

    Examples
    --------
    >>> repeated([0, 2, 1], 2)
    [0, 0, 2, 2, 1, 1]
    """
    return [node for node in nodes for _ in range(times)]


@dataclass(frozen=True)
class Hosting:
    """Which worker hosts which nodes, and which chunks of the evaluation: contiguous, nearly equal blocks.

    Attributes
    ----------
    nodes : int
        n, of the experiment.
    chunks : int
        In how many parts the evaluation is done.
    workers : int
        How many workers share them.
    kept : tuple of range
        The nodes of each worker in a run that has dropped others; empty: none is dropped.

    Examples
    --------
    >>> hosting = Hosting(nodes=5, chunks=0, workers=2)
    >>> hosting.nodes_of(0), hosting.turns_of(0)
    (range(0, 3), [0, 2, 1])
    >>> hosting.without([0]).dropped, hosting.without([0]).nodes_of(0)
    ((0, 1, 2), range(3, 5))
    """

    nodes: int
    chunks: int
    workers: int
    kept: tuple[range, ...] = ()

    def without(self, lost: Collection[int]) -> Hosting:
        """These workers are lost and their nodes dropped; the others keep their own."""
        kept = tuple(self.nodes_of(worker) for worker in range(self.workers) if worker not in lost)
        return Hosting(self.nodes, self.chunks, len(kept), kept)

    @property
    def dropped(self) -> tuple[int, ...]:
        """The nodes that live nowhere any more."""
        if not self.kept:
            return ()
        return tuple(node for node in range(self.nodes) if not any(node in nodes for nodes in self.kept))

    @property
    def turns(self) -> list[int]:
        """All nodes that live somewhere, in their turns."""
        dropped = self.dropped
        return [node for node in turns(self.nodes) if node not in dropped]

    def nodes_of(self, worker: int) -> range:
        """The nodes that live on a worker."""
        return self.kept[worker] if self.kept else block(self.nodes, self.workers, worker)

    def worker_of(self, node: int) -> int:
        """The worker that a node lives on."""
        return next(worker for worker in range(self.workers) if node in self.nodes_of(worker))

    def chunks_of(self, worker: int) -> range:
        """The chunks that a worker evaluates."""
        return block(self.chunks, self.workers, worker)

    def turns_of(self, worker: int) -> list[int]:
        """A worker's nodes in their turns."""
        return turns(self.nodes, self.nodes_of(worker))
