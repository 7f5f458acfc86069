"""What a metric can be seen against: iterations, epochs, bits, seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pmom_mpi.words.errors import UserError

if TYPE_CHECKING:
    from pmom_mpi.analysis.read import Run

AXES = {
    "iteration": ("iteration k", ""),
    "epoch": ("epoch", ""),
    "bits": ("sent, uplink and downlink", "bit"),
    "uplink": ("sent, uplink of all nodes", "bit"),
    "downlink": ("sent, downlink counted once", "bit"),
    "seconds": ("wall time", "s"),
}
"""Label and unit of each."""


def places(run: Run, name: str, against: str) -> np.ndarray:
    """Where a metric's rows stand, shape (iterations,).

    A test value belongs to x^{k+1}, after what its row has sent; a training value to x^k, before. Seconds are those of
    the iterations: neither setting up nor compiling is among them.

    Raises
    ------
    UserError
        When the run cannot be seen against that.
    """
    steps = _steps(run, against)
    total = np.cumsum(steps)
    return total if run.described[name].role == "test" else total - steps


def _steps(run: Run, against: str) -> np.ndarray:
    """By how much each row moves on."""
    if against == "iteration":
        return np.ones(run.iterations)
    if against == "epoch":
        return np.full(run.iterations, _epoch_of_an_iteration(run))
    if against == "seconds":
        return run.metrics["time_total"]
    if against not in AXES:
        raise UserError(f"{against}: nothing that runs can be seen against; choose {', '.join(AXES)}")
    up, down = run.metrics["uplink_bits"], run.metrics["downlink_bits"]
    return {"bits": up + down, "uplink": up, "downlink": down}[against].astype(float)


def _epoch_of_an_iteration(run: Run) -> float:
    """The part of a shard that an iteration takes; of shards of different sizes there is no one number."""
    gradient = run.config.get("gradient", {})
    batch = gradient.get("batch", "full") if isinstance(gradient, dict) else "full"
    if batch == "full":
        return 1.0
    least, most = (run.facts.get(f"data_{which}_shard") for which in ("smallest", "largest"))
    if least is None or most is None:
        raise UserError(f"epoch: {run.path} has no shards of data; see it against iteration")
    if least != most:
        raise UserError(f"epoch: the shards of {run.path} have {least:g} to {most:g} samples, so each node has its own")
    order = gradient.get("order", "reshuffle")
    samples = float(least)
    return int(batch) / samples if order == "replacement" else 1 / np.ceil(samples / int(batch))
