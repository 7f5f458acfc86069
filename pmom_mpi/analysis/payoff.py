"""Does the compression pay? What it costs in computing against what it saves on the link, from measured numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.filesize import decimal

from pmom_mpi.analysis.read import Run

HEADERS = 0.05
"""By how much, relatively, payloads may differ from whole gradients without being compressed."""


@dataclass(frozen=True)
class Payoff:
    """One iteration's exchange towards the server, as it was and as a dense one would have been.

    Attributes
    ----------
    sent_bytes, dense_bytes : float
        All nodes' payloads, and those of whole gradients.
    stations : mapping of str to float
        Seconds that compress, encode and decode took (the slowest worker's and the server's).
    dense_computing : float
        Seconds that encoding and decoding whole gradients takes, from a measurement.
    link : float
        Bytes a second between server and workers, measured; NaN in one process.
    """

    sent_bytes: float
    dense_bytes: float
    stations: Mapping[str, float]
    dense_computing: float
    link: float

    @property
    def computing(self) -> float:
        """Seconds of compress, encode and decode."""
        return sum(self.stations.values())

    @property
    def extra(self) -> float:
        """Seconds of computing that a dense exchange would not have needed; negative where it would need more."""
        return self.computing - self.dense_computing

    @property
    def break_even(self) -> float:
        """The operator wins on links slower than this (bytes a second): everywhere when inf, nowhere when 0.

        What sends no fewer bytes than a dense exchange saves nothing, whatever its computing takes.
        """
        saved = self.dense_bytes - self.sent_bytes
        if saved <= 0:
            return 0.0
        return math.inf if self.extra <= 0 else saved / self.extra

    @property
    def exchange(self) -> float:
        """Seconds of computing and of the payloads' way over the link, one after the other."""
        return self.computing + self.sent_bytes / self.link

    @property
    def dense_exchange(self) -> float:
        """The same of a dense exchange."""
        return self.dense_computing + self.dense_bytes / self.link

    @property
    def gain(self) -> float:
        """Seconds an iteration that the operator saves at the measured link speed, negative where it costs."""
        return self.dense_exchange - self.exchange


def payoff(run: Run) -> Payoff:
    """The medians of a run's iterations, the first excepted: it still loads kernels."""
    rows = slice(1, None) if run.iterations > 1 else slice(None)
    stations = {"compress": "bias", "encode": "encode", "decode": "decode"}
    facts = run.facts
    return Payoff(
        sent_bytes=float(np.median(run.metrics["uplink_bits"][rows])) / 8,
        dense_bytes=float(facts["dense_bytes"]),
        stations={name: float(np.median(run.metrics[f"time_{key}"][rows])) for name, key in stations.items()},
        dense_computing=float(facts["dense_seconds"]),
        link=float(facts["link_bytes_per_second"]),
    )


def wasteful(found: Payoff) -> bool:
    """Whether something was compressed and that did not pay: more time on this run's link, or no fewer bytes."""
    compressed = abs(found.sent_bytes - found.dense_bytes) > HEADERS * found.dense_bytes
    return compressed and (found.break_even == 0 or found.gain < 0)


def bandwidth(bytes_a_second: float) -> str:
    """The speed of a link in the unit that links are sold in.

    Examples
    --------
    >>> bandwidth(1.25e9)
    '10 Gbit/s'
    """
    return f"{8e-9 * bytes_a_second:.3g} Gbit/s"


def sentence(found: Payoff) -> str:
    """The answer in a few lines, none longer than a terminal is wide; what is printed adds up as it is printed.

    Examples
    --------
    >>> print(sentence(Payoff(1e6, 1e7, {"compress": 0.0015, "encode": 0.0005}, 0.001, 1e9)))
    does compression pay? an iteration's exchange, in brackets with whole gradients:
      sent to the server: 1.0 MB (10.0 MB)
      computing: compress 1.50 + encode 0.50 = 2.00 ms (1.00 ms)
      sending on this run's link, 8 Gbit/s: 1.00 ms (10.00 ms)
      together: 3.00 ms (11.00 ms), so it saves 8.00 ms here
      it pays on links slower than 72 Gbit/s
    """
    one_process = math.isnan(found.link)
    times = [*found.stations.values(), found.dense_computing]
    digits = _decimals(max(times))
    times += [] if one_process else [found.sent_bytes / found.link, found.dense_bytes / found.link]
    *stations, dense_computing = (round(1e3 * seconds, digits) for seconds in times[: len(found.stations) + 1])
    computing = sum(stations)
    parts = " + ".join(f"{name} {ms:.{digits}f}" for name, ms in zip(found.stations, stations, strict=True))

    def pair(own: float, dense: float) -> str:
        return f"{own:.{digits}f} ms ({dense:.{digits}f} ms)"

    lines = [
        "does compression pay? an iteration's exchange, in brackets with whole gradients:",
        f"sent to the server: {decimal(int(found.sent_bytes))} ({decimal(int(found.dense_bytes))})",
        f"computing: {parts} = {pair(computing, dense_computing)}",
    ]
    if one_process:
        lines.append("sending: nothing was sent over a link, all was one process")
    else:
        sending, dense_sending = (round(1e3 * seconds, digits) for seconds in times[-2:])
        gain = round(dense_computing + dense_sending - computing - sending, digits)
        answer = f"so it {'saves' if gain > 0 else 'costs'} {abs(gain):.{digits}f} ms here" if gain else "no difference"
        lines += [
            f"sending on this run's link, {bandwidth(found.link)}: {pair(sending, dense_sending)}",
            f"together: {pair(computing + sending, dense_computing + dense_sending)}, {answer}",
        ]
    if math.isinf(found.break_even):
        lines.append("it pays on any link")
    elif found.break_even == 0:
        lines.append("it pays on no link: it sends no fewer bytes")
    else:
        lines.append(f"it pays on links slower than {bandwidth(found.break_even)}")
    return "\n  ".join(lines)


def short(found: Payoff) -> str:
    """The answer alone, of what `wasteful` says that it did not pay.

    Examples
    --------
    >>> print(short(Payoff(1e6, 1e7, {"compress": 0.0015, "encode": 0.0005}, 0.001, 1e11)))
    compression took more time than it saved on this run's link, 800 Gbit/s;
    it pays on links slower than 72 Gbit/s (pmom show --payoff says why)
    """
    why = "(pmom show --payoff says why)"
    if found.break_even == 0:
        return f"compression pays on no link: it sends no fewer bytes {why}"
    return (
        f"compression took more time than it saved on this run's link, {bandwidth(found.link)};\n"
        f"it pays on links slower than {bandwidth(found.break_even)} {why}"
    )


def _decimals(seconds: float) -> int:
    """Of milliseconds: three digits of the longest computing, and no more than microseconds."""
    return max(0, min(3, 2 - math.floor(math.log10(1e3 * seconds)))) if seconds > 0 else 3
