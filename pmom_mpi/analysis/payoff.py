"""Does the compression pay? What it costs in computing against what it saves on the link, from a run's own numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from rich.filesize import decimal

from pmom_mpi.analysis.read import Run


@dataclass(frozen=True)
class Payoff:
    """One iteration's exchange towards the server, as it was and as a dense one would have been.

    Attributes
    ----------
    sent_bytes, dense_bytes : float
        All nodes' payloads, and those of whole gradients.
    computing : float
        Seconds that bias, encoding and decoding took (the slowest worker's and the server's).
    dense_computing : float
        Seconds that encoding and decoding whole gradients would have taken, from a measurement at the run's start.
    link : float
        Bytes a second between server and worker, measured at the run's start; NaN in one process.
    """

    sent_bytes: float
    dense_bytes: float
    computing: float
    dense_computing: float
    link: float

    @property
    def extra(self) -> float:
        """Seconds of computing that a dense exchange would not have needed; negative where it would need more."""
        return self.computing - self.dense_computing

    @property
    def break_even(self) -> float:
        """The operator wins on links slower than this (bytes a second): everywhere when inf, nowhere when 0."""
        saved = self.dense_bytes - self.sent_bytes
        if saved <= 0:
            return 0.0 if self.extra >= 0 else math.inf
        return math.inf if self.extra <= 0 else saved / self.extra

    @property
    def gain(self) -> float:
        """Seconds an iteration that the operator saves at the measured link speed, negative where it costs."""
        return (self.dense_bytes - self.sent_bytes) / self.link - self.extra


def payoff(run: Run) -> Payoff:
    """The medians of a run's iterations, the first excepted: it still loads kernels."""
    rows = slice(1, None) if run.iterations > 1 else slice(None)
    seconds = sum(float(np.median(run.metrics[f"time_{name}"][rows])) for name in ("bias", "encode", "decode"))
    facts = run.provenance
    return Payoff(
        sent_bytes=float(np.median(run.metrics["uplink_bits"][rows])) / 8,
        dense_bytes=float(facts["dense_bytes"]),
        computing=seconds,
        dense_computing=float(facts["dense_seconds"]),
        link=float(facts["link_bytes_per_second"]),
    )


def sentence(found: Payoff) -> str:
    """The answer in two lines.

    Examples
    --------
    >>> print(sentence(Payoff(1e6, 1e7, 0.002, 0.001, 1e9)))
    uplink an iteration: 1.0 MB instead of 10.0 MB dense; computing 2.00 ms instead of 1.00 ms
    pays on links slower than 9.0 GB/s; at this run's 1.0 GB/s it saves 8.00 ms an iteration
    """
    first = (
        f"uplink an iteration: {decimal(int(found.sent_bytes))} instead of {decimal(int(found.dense_bytes))} dense; "
        f"computing {1e3 * found.computing:.2f} ms instead of {1e3 * found.dense_computing:.2f} ms"
    )
    if math.isinf(found.break_even):
        where = "pays on any link"
    elif found.break_even == 0:
        where = "pays on no link"
    else:
        where = f"pays on links slower than {decimal(int(found.break_even))}/s"
    if math.isnan(found.link):
        return f"{first}\n{where}; one process: nothing was sent over a link"
    verb = "saves" if found.gain >= 0 else "costs"
    at = f"at this run's {decimal(int(found.link))}/s it {verb} {1e3 * abs(found.gain):.2f} ms an iteration"
    return f"{first}\n{where}; {at}"
