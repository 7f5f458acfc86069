"""Whether the same iterations, run twice from the same state, give the same bits (``pmom run --check-determinism``).

Two whole legs of a few iterations, from x^0 and from nothing remembered, over the star that the run itself will use.
Fingerprints are taken on the way: by workers of every node's gradient and of what its bias makes of it, by the server
of the rows and of x. The first that differs names the station.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import blake2b
from itertools import chain

import numpy as np

from pmom_mpi.bias.base import Numbers
from pmom_mpi.bias.drops import Drops
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.method.ledger import Ledger
from pmom_mpi.method.server import Server
from pmom_mpi.method.worker import Worker
from pmom_mpi.problems.base import Stateful
from pmom_mpi.runtime.assembling import assemble
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.runtime.together import from_server
from pmom_mpi.transport.base import NodeHost, Order, Ranks
from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.signals import Interrupted, Signals
from pmom_mpi.wire.message import Message
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.nodes import repeated, turns
from pmom_mpi.words.report import Entry
from pmom_mpi.words.snapshot import Snapshot

ITERATIONS = 2
"""In the second, the momentum and what nodes remember are no longer those of the beginning."""

GRADIENT, BIAS = "gradient", "bias"
Trace = dict[tuple[int, int, str], bytes]
"""Fingerprints by iteration, node and station."""


def check(ranks: Ranks, setting: Setting) -> str:
    """Run the first iterations twice, and compare; all ranks call this alike, and nothing is left behind.

    Returns
    -------
    str
        A line that says what was found equal.

    Raises
    ------
    UserError
        Where it is not: which station of which node differed first. In a job all ranks exit.
    """
    config = setting.config
    total, every = min(ITERATIONS, config.iterations), min(1, config.evaluate.every)
    evaluate = replace(config.evaluate, every=every)
    config = replace(config, iterations=total, evaluate=evaluate, on_divergence="continue")
    short = replace(setting, config=config)
    legs = [_leg(ranks, short) for _ in range(2)]
    traces = [Trace(chain.from_iterable(trace.items() for trace in ranks.gather(leg[0]))) for leg in legs]

    def compared() -> str:
        found = _first_difference(traces, [leg[1] for leg in legs], config.nodes)
        if found is None:
            return f"{total} iterations run twice gave the same bits: gradients, payloads, memories, sums, x"
        k, node, words = found
        rank = ranks.size - ranks.workers + setting.hosting.worker_of(node) if node >= 0 else 0
        where = f" (rank {rank} on {ranks.hosts[rank]})" if ranks.size > 1 else ""
        raise UserError(
            f"{setting.source.name}: not deterministic: run twice, iteration {k} first differs in {words}{where}"
        )

    return from_server(ranks, compared)


def _first_difference(traces: list[Trace], rows: list[list[Trace]], nodes: int) -> tuple[int, int, str] | None:
    """Iteration, node (-1: the server) and words of the first fingerprint that differs between two legs."""
    first, second = traces
    place = {node: turn for turn, node in enumerate(turns(nodes))}
    order = sorted(first, key=lambda key: (key[0], place[key[1]], key[2] != GRADIENT))
    told = {GRADIENT: "the gradient of node {}", BIAS: "the bias of node {} (payload or memory), not in its gradient"}
    found = [
        (k, node, told[station].format(node))
        for k, node, station in order
        if first[k, node, station] != second[k, node, station]
    ]
    for mine, others in zip(*rows, strict=True):
        found += [key for key in mine if mine[key] != others[key]]
    return min(found, key=lambda difference: difference[0], default=None)


def _leg(ranks: Ranks, setting: Setting) -> tuple[Trace, list[Trace]]:
    """The iterations once: this rank's nodes' fingerprints, and on the server those of the rows and of x."""
    problem, companion = setting.problem, _companion(setting)
    before = {name: array.copy() for name, array in companion.items()}
    old, trace, rows = setting.pipeline, Trace(), list[Trace]()
    pipeline = TracedPipeline(setting.config.bias, problem.layout, old.dtype, setting.config.seed, samples=old.samples)
    pipeline.trace = trace
    worker = replace(setting, pipeline=pipeline).worker(ranks.worker or 0)
    host = TracedHost(worker, setting.hosting.turns_of(ranks.worker or 0), trace)
    if ranks.serves:
        with Signals() as signals:
            server = _server(ranks, setting, host, signals, rows)
            if server.run() == "interrupted":
                raise Interrupted(signals.arrived or 0)
        last = setting.config.iterations - 1
        rows.append({(last, -1, "the step: x"): fingerprint(server.x, *companion.values())})
    else:
        ranks.serve(host, setting.hosting, setting.capacity)
    for name, array in companion.items():
        array[...] = before[name]
    return trace, rows


def _companion(setting: Setting) -> Memory:
    """What a problem has beside x."""
    return {"state": setting.problem.state} if isinstance(setting.problem, Stateful) else {}


def _server(ranks: Ranks, setting: Setting, host: NodeHost, signals: Signals, rows: list[Trace]) -> Server:
    """A server that saves nothing and writes down fingerprints instead of rows."""
    tested = {metric.name for metric in setting.schema.tested}

    def append(entry: Entry) -> None:
        k, row = int(entry.row["iteration"]), entry.row
        mine = {name: value for name, value in row.items() if not name.startswith(("time_", "overhead_"))}
        parts = {
            "the sum: g and the metrics": [value for name, value in mine.items() if name not in tested],
            "the evaluation": [value for name, value in mine.items() if name in tested],
        }
        rows.append({(k, -1, words): fingerprint(np.array(values)) for words, values in parts.items()})

    patience = Patience(ranks.hosts, setting.config.transport.deadline, lambda *_: None)
    ledger = Ledger(setting.schema, append, False)
    return assemble(ranks, setting, host, signals, patience, ledger, Unsaved(), lambda _: None)


class TracedPipeline(Pipeline):
    """Takes a fingerprint of every gradient before it is biased."""

    trace: Trace

    def apply(
        self, gradient: np.ndarray, node: int, iteration: int, drops: Drops | None = None
    ) -> tuple[Message, Numbers]:
        self.trace[iteration, node, GRADIENT] = fingerprint(gradient)
        return super().apply(gradient, node, iteration, drops)


class TracedHost:
    """Takes fingerprints of what a worker sends and remembers; implements `pmom_mpi.transport.base.NodeHost`."""

    def __init__(self, worker: Worker, turns: list[int], trace: Trace) -> None:
        self._worker = worker
        self._turns = turns
        self._trace = trace
        self.report = worker.report

    def memory(self, node: int) -> Memory:
        return self._worker.memory(node)

    def work(self, order: Order, model: np.ndarray, buffer: Callable[[], np.ndarray]) -> Iterator[np.ndarray]:
        nodes = repeated(self._turns, order.task.messages)
        for payload, node in zip(self._worker.work(order, model, buffer), nodes, strict=False):
            mine = self._worker.memory(node)
            self._trace[order.iteration, node, BIAS] = fingerprint(payload, *(mine[name] for name in sorted(mine)))
            yield payload


class Unsaved:
    """Keeps no snapshots; implements `pmom_mpi.method.server.Saver`."""

    asks_nodes = False

    def due(self, iteration: int) -> bool:
        return False

    def due_at_the_end(self, status: str) -> bool:
        return False

    def begin(self, snapshot: Snapshot) -> None: ...

    def add(self, node: int, memory: Memory) -> None: ...

    def end(self) -> None: ...


def fingerprint(*arrays: np.ndarray) -> bytes:
    """A hash of the bits of some arrays."""
    found = blake2b(digest_size=16)
    for array in arrays:
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.digest()
