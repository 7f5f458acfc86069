"""Where a run has left the numbers: looked for only once the average or the loss is not finite any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pmom_mpi.words.report import Report


@dataclass(frozen=True)
class Origin:
    """Where a NaN or an infinity was seen first.

    Attributes
    ----------
    iteration : int
    words : str
        The station and what is not finite there.
    node : int or None
        The first node that shows it, if a node does.
    """

    iteration: int
    words: str
    node: int | None = None


def origin(iteration: int, x: np.ndarray, g: np.ndarray, report: Report, names: Sequence[str]) -> Origin:
    """What is known of where it began: the model, a node's gradient, its bias, or the sum.

    Parameters
    ----------
    iteration : int
        k.
    x, g : ndarray, shape (d,)
        x^k and the average g^k.
    report : Report
        What nodes measured at x^k.
    names : sequence of str
        Of its metrics, the loss first, then of its statistics.
    """
    if not np.isfinite(x).all():
        return Origin(iteration, f"step: x^{iteration} is not finite, the step before went too far")
    losses, statistics = report.metrics[:, 0], report.statistics
    if not np.isfinite(losses).all():
        return Origin(iteration, *_of_nodes("gradient", names[0], losses))
    for name, values in zip(names[report.metrics.shape[1] :], statistics.T, strict=True):
        if np.isfinite(values).any() and not np.isfinite(values).all():  # of all nodes: there was nothing to measure
            return Origin(iteration, *_of_nodes("bias", name, values))
    if np.isfinite(g).all():
        return Origin(iteration, "sum: the mean of the losses is not finite, though every node's is")
    count = np.count_nonzero(~np.isfinite(g))
    return Origin(
        iteration,
        f"sum: {count} of {g.size} coordinates of g^{iteration} are not finite, though every node's {names[0]} is: "
        "a node's gradient or bias, or their sum",
    )


def _of_nodes(station: str, name: str, values: np.ndarray) -> tuple[str, int]:
    """The first node whose value is not finite, and how many there are."""
    bad = np.flatnonzero(~np.isfinite(values))
    more = f", the first of {bad.size} of {values.size} nodes" if bad.size > 1 else ""
    return f"{station}: {name} of node {bad[0]} is {values[bad[0]]}{more}", int(bad[0])
