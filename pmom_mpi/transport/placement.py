"""Where ranks run when they share the cores of one host.

With a worker a core and the server besides them, Linux at times lets two workers wait for each other on one core while
the server naps on the other: a core that was idle only for a moment does not fetch work. On 2 cores that made
iterations of 2 ms last 6 ms. So each worker keeps to a core of its own, and the server, which computes little, moves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


def cores_available() -> frozenset[int]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def oversubscribed(cores_of_local_ranks: Sequence[frozenset[int]]) -> bool:
    """True when the ranks of one host are more than the cores that they may run on together."""
    return len(cores_of_local_ranks) > len(frozenset().union(*cores_of_local_ranks))


def own_core(cores_of_local_ranks: Sequence[frozenset[int]], worker: int) -> frozenset[int]:
    """The core that a worker of the server's host keeps to, or all its cores where there is nothing to arrange.

    Parameters
    ----------
    cores_of_local_ranks : sequence of frozenset of int
        For each rank of the server's host the cores it may use, the server's first.
    worker : int
        Which of these ranks, from 1.

    Examples
    --------
    >>> own_core([frozenset({0, 1})] * 3, 2)
    frozenset({1})
    """
    cores = sorted(cores_of_local_ranks[worker])
    alike = len(set(cores_of_local_ranks)) == 1
    return frozenset({cores[worker - 1]} if alike and len(cores) == len(cores_of_local_ranks) - 1 else cores)


@contextmanager
def keeping_to(cores: frozenset[int]) -> Iterator[None]:
    """Within this context the calling thread runs on these cores only."""
    before = cores_available()
    if cores == before:
        yield
        return
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
