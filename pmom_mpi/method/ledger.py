"""The server's rows and clocks: what is measured in an iteration, and when its row is complete."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from pmom_mpi.words.report import STATIONS, WORKER_TIMES, Entry, Metric, Report, Row, Schema
from pmom_mpi.words.trace import SERVER, TRACED

SERVER_STATIONS = {
    "broadcast": "packing and broadcasting x^k",
    "wait": "waiting for and receiving payloads and reports",
    "decode": "decoding and adding payloads",
    "momentum": "the mean of the payloads and the momentum step",
    "record": "recording the previous row",
}
"""What the server's time is spent on; together all of it."""

WORKER_STATIONS = {
    "evaluate": "evaluation of x^k",
    "gradient": "computing gradients",
    "bias": "bias pipeline",
    "encode": "messages to bytes",
    "send": "sending payloads",
    "wait": "waiting for x^k since the last answer",
}

ITERATION = Metric("iteration", "k: the row is about the step from x^k to x^{k+1}", dtype="int64")
GRADIENT_NORM = Metric(
    "gradient_norm", "2-norm of g^k, the average that the server takes its step with", rises=False, role="step"
)
MODEL_LAG = Metric(
    "model_lag", "2-norm of x^k - w^k, where w^k is the point at which nodes work", rises=False, role="step"
)
UPLINK = Metric("uplink_bits", "length of all nodes' payloads", "bit", dtype="int64", role="bits")
DOWNLINK = Metric("downlink_bits", "length of the model's broadcast, counted once", "bit", dtype="int64", role="bits")
OVERHEAD = Metric(
    "overhead_bits", "telemetry beside the payloads: metrics, statistics and times of workers", "bit", dtype="int64",
    role="bits",
)  # fmt: skip
TIMES = (
    Metric("time_total", "wall time from the iteration's broadcast to the next", "s", role="time"),
    *(
        Metric(f"time_{name}", f"{WORKER_STATIONS[name]}, of the worker that took longest", "s", role="time")
        for name in STATIONS
    ),
    *(Metric(f"time_{name}", f"server: {what}", "s", role="time") for name, what in SERVER_STATIONS.items()),
)


class Ledger:
    """The entry of the iteration that goes on takes in values and seconds; the one before waits for its evaluation.

    Parameters
    ----------
    schema : Schema
    append : callable
        Takes each entry as soon as it is complete.
    each_node : bool
        Whether every node's values are kept.
    traced : int
        In how many iterations, the first ones, it is kept when which rank did what.
    clocks : ndarray of float64, shape (workers, 2), optional
        From the workers' clocks to this one (`pmom_mpi.transport.base.Ranks.clocks`), where something is traced.
    dropped : tuple of int
        Nodes that tell nothing: means leave them out, and their own values are NaN.

    Attributes
    ----------
    entry : Entry
        Of the iteration that goes on, or went on last.
    """

    def __init__(
        self,
        schema: Schema,
        append: Callable[[Entry], None],
        each_node: bool,
        traced: int = 0,
        clocks: np.ndarray | None = None,
        dropped: tuple[int, ...] = (),
    ) -> None:
        self._dropped = list(dropped)
        self._left, self._tracing, self._clocks = traced, False, clocks
        self._names = tuple(metric.name for metric in schema.reported)
        self._append = append
        self._each_node = each_node
        self.entry, self._pending = Entry(), Entry()
        self._last = perf_counter()

    def begin(self, iteration: int) -> None:
        """An iteration begins: its entry is opened, and the one before waits for `complete`."""
        self._pending, self.entry = self.entry, Entry({"iteration": iteration})
        self._tracing, self._left = self._left > 0, self._left - 1
        self._last = perf_counter()

    def before(self, iteration: int) -> Entry:
        """The entry that waited as this iteration began, or waits still."""
        return self._pending if self.entry.row.get("iteration") == iteration else self.entry

    def lap(self, station: str, node: int = -1) -> None:
        """The time since the last lap, or since the iteration began, was the server's for this station (and node)."""
        row, now = self.entry.row, perf_counter()
        for name in (f"time_{station}", "time_total"):
            row[name] = row.get(name, 0.0) + now - self._last
        if self._tracing:
            told = int(row["iteration"]), SERVER, node, TRACED.index(station), self._last, now
            self.entry.intervals.append(told)
        self._last = now

    def _trace(self, report: Report, clocks: np.ndarray) -> None:
        """When workers did what, on this clock."""
        iteration = int(self.entry.row["iteration"])
        for worker, (rows, (ahead, _)) in enumerate(zip(report.intervals, clocks, strict=True)):
            for station, node, start, stop in rows[rows[:, 0] >= 0].tolist():
                told = iteration, worker, int(node), int(station), start + ahead, stop + ahead
                self.entry.intervals.append(told)

    def note(self, report: Report, bits: np.ndarray) -> None:
        """What the nodes reported, and the lengths of their payloads (int64, shape (nodes,))."""
        entry, values = self.entry, np.column_stack([report.metrics, report.statistics])
        told = np.delete(values, self._dropped, axis=0) if self._dropped else values
        values[self._dropped] = np.nan
        entry.row.update(zip(self._names, told.mean(axis=0).tolist(), strict=True))
        entry.row.update(uplink_bits=int(bits.sum()), overhead_bits=report.bits)
        work = report.seconds[:, : len(STATIONS)]  # waiting, which stands behind it, is none
        for name, seconds in zip(STATIONS, work.max(axis=0).tolist(), strict=True):
            entry.row[f"time_{name}"] = seconds
        entry.workers = dict(zip(WORKER_TIMES, report.seconds.T.copy(), strict=True))
        if self._tracing and self._clocks is not None:
            self._trace(report, self._clocks)
        if self._each_node:
            entry.nodes = dict(zip(self._names, values.T, strict=True)) | {UPLINK.name: bits}

    def complete(self, found: Row) -> None:
        """The entry that waits, if one does, gets what was found at the point its step led to, and is recorded."""
        if self._pending.row:
            self._pending.row |= found
            self._append(self._pending)
            self._pending = Entry()

    def close(self, found: Row) -> None:
        """The run is over: the same for the last entry."""
        self._pending, self.entry = self.entry, Entry()
        self.complete(found)


def columns(schema: Schema) -> tuple[Metric, ...]:
    """The metrics of a row, in the order of the run file."""
    lag = (MODEL_LAG,) if schema.point == "w" else ()
    return (ITERATION, *schema.columns(), GRADIENT_NORM, *lag, UPLINK, DOWNLINK, OVERHEAD, *TIMES)


def node_columns(schema: Schema) -> tuple[Metric, ...]:
    """The metrics of a `NodeRow`."""
    words = "length of every node's payload; /metrics holds the sum"
    return (*schema.node_columns(), UPLINK.named(UPLINK.name, words))


def worker_columns() -> tuple[Metric, ...]:
    """The metrics of a `WorkerRow`: seconds of every worker by station."""
    return tuple(Metric(name, f"{words}, of every worker", "s", role="time") for name, words in WORKER_STATIONS.items())
