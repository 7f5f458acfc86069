"""The server's rows and clocks: what is measured in an iteration, and when its row is complete."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from pmom_mpi.words.report import STATIONS, Metric, NodeRow, Report, Row
from pmom_mpi.words.schema import Schema

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
}

ITERATION = Metric("iteration", "k: the row is about the step from x^k to x^{k+1}", dtype="int64")
GRADIENT_NORM = Metric("gradient_norm", "2-norm of g^k, the average that the server takes its step with", rises=False)
MODEL_LAG = Metric("model_lag", "2-norm of x^k - w^k, where w^k is the point at which nodes work", rises=False)
TRAFFIC = (
    Metric("uplink_bits", "length of all nodes' payloads", "bit", dtype="int64"),
    Metric("downlink_bits", "length of the model's broadcast, counted once", "bit", dtype="int64"),
    Metric(
        "overhead_bits", "telemetry beside the payloads: metrics, statistics and times of workers", "bit", dtype="int64"
    ),
)
TIMES = (
    Metric("time_total", "wall time of the iteration, from its broadcast to the next", "s"),
    *(
        Metric(f"time_{name}", f"{WORKER_STATIONS[name]}, of the worker that took longest", "s", rises=False)
        for name in STATIONS
    ),
    *(Metric(f"time_{name}", f"server: {what}", "s", rises=False) for name, what in SERVER_STATIONS.items()),
)


class Ledger:
    """The row of the iteration that goes on takes in values and seconds; the one before waits for its evaluation.

    Parameters
    ----------
    schema : Schema
    append : callable
        Takes each row as soon as it is complete, with its nodes' values (none unless ``each_node``).
    each_node : bool
        Whether every node's values are kept.
    row, nodes : Row, NodeRow
        Where a run goes on, the last row of the leg before.

    Attributes
    ----------
    row, nodes : Row, NodeRow
        The row of the iteration that goes on, or went on last, and its nodes' values.
    """

    def __init__(
        self, schema: Schema, append: Callable[[Row, NodeRow], None], each_node: bool, row: Row, nodes: NodeRow
    ) -> None:
        self._names = tuple(metric.name for metric in schema.reported)
        self._append = append
        self._each_node = each_node
        self.row, self.nodes = row, nodes
        self._pending, self._pending_nodes = Row(), NodeRow()
        self._last = perf_counter()

    def begin(self, iteration: int) -> None:
        """An iteration begins: its row is opened, and the one before waits for `complete`."""
        self._pending, self._pending_nodes = self.row, self.nodes
        self.row, self.nodes = Row(iteration=iteration), NodeRow()
        self._last = perf_counter()

    def lap(self, station: str) -> None:
        """The time since the last lap, or since the iteration began, was the server's for this station."""
        now = perf_counter()
        for name in (f"time_{station}", "time_total"):
            self.row[name] = self.row.get(name, 0.0) + now - self._last
        self._last = now

    def note(self, report: Report, bits: np.ndarray) -> None:
        """What the nodes reported, and the lengths of their payloads (int64, shape (nodes,))."""
        values = np.column_stack([report.metrics, report.statistics])
        self.row.update(zip(self._names, values.mean(axis=0).tolist(), strict=True))
        self.row.update(uplink_bits=int(bits.sum()), overhead_bits=report.bits)
        for name, seconds in zip(STATIONS, report.seconds.max(axis=0).tolist(), strict=True):
            self.row[f"time_{name}"] = seconds
        if self._each_node:
            self.nodes = dict(zip(self._names, values.T, strict=True)) | {"uplink_bits": bits}

    def complete(self, found: Row) -> None:
        """The row that waits, if one does, gets what was found at the point that its step led to, and is recorded."""
        if self._pending:
            self._append(self._pending | found, self._pending_nodes)
            self._pending = Row()

    def close(self, found: Row) -> None:
        """The run is over: the same for the last row."""
        self._pending, self._pending_nodes = self.row, self.nodes
        self.complete(found)


def columns(schema: Schema, lags: bool) -> tuple[Metric, ...]:
    """The metrics of a row, in the order of the run file; ``lags``: nodes work at a point of their own."""
    return (ITERATION, *schema.reported, *schema.evaluated, GRADIENT_NORM, *([MODEL_LAG] if lags else []), *TRAFFIC,
            *TIMES)  # fmt: skip


def node_columns(schema: Schema) -> tuple[Metric, ...]:
    """The metrics of a `NodeRow`."""
    return (*schema.reported, TRAFFIC[0])
