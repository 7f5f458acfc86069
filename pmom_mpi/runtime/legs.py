"""The legs of a run: stretches between losses of ranks, each on fewer of them than the one before."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np

from pmom_mpi.method.divergence import Origin
from pmom_mpi.method.ledger import Ledger
from pmom_mpi.method.server import Server
from pmom_mpi.method.worker import Worker
from pmom_mpi.record.checkpoint import Checkpoint, newest, usable
from pmom_mpi.record.events import DROPPED
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.runtime.assembling import assemble
from pmom_mpi.runtime.saving import Saving
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.runtime.together import EXIT_CODES, agree, from_server, text_of
from pmom_mpi.transport.base import Place, Ranks, RanksLost, WorkerFailed
from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.signals import Interrupted, Signals
from pmom_mpi.words.report import Entry, Row
from pmom_mpi.words.snapshot import Snapshot


class Watcher(Protocol):
    """Who wants to see a run as it goes (a progress bar); called on rank 0 only."""

    def begin(self, setting: Setting, ranks: int) -> None: ...

    def ready(self, seconds: float) -> None: ...

    def row(self, row: Row) -> None: ...

    def end(self, status: str) -> None: ...


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes
    ----------
    status : str
        ``finished``, ``diverged`` or ``interrupted``.
    exit_code : int
        0, 3 (diverged and told to stop then), or 128 + the signal's number.
    path : Path
        The run file.
    x : ndarray or None
        The final model, on rank 0; None on the workers.
    over : bool
        Whether a run that was to go on was over already, so that nothing was done; on rank 0.
    """

    status: str
    exit_code: int
    path: Path
    x: np.ndarray | None
    over: bool = False


def legs(ranks: Ranks, setting: Setting, host: Worker, serving: Serving | None) -> Result:
    """Run to the end, on whatever ranks are left; ``serving`` is the server's."""
    lost: list[Place] = []
    alive = list(range(1, ranks.size))
    """What the launcher calls the ranks of ``setting``'s workers."""
    while True:
        began = perf_counter()
        try:
            with ranks.losses():
                if lost:
                    gone = {place.rank for place in lost}
                    workers = [worker for worker, rank in enumerate(alive) if rank in gone]
                    setting, host = _again(ranks, setting, serving, lost, workers)
                    alive = [rank for rank in alive if rank not in gone]
                if serving is not None:
                    serving.went_on(ranks, setting, lost, perf_counter() - began)
                lost = []
                if serving is None:
                    ranks.serve(host, setting.hosting, setting.capacity)
                elif serving.ended is None:
                    serving.leg(ranks, setting, host)
                return ranks.share(None if serving is None else serving.ended)
        except RanksLost:
            lost += ranks.recover()
        except BaseException as error:
            if serving is not None:
                serving.failed(error)
            raise


def _again(
    ranks: Ranks, setting: Setting, serving: Serving | None, lost: list[Place], workers: list[int]
) -> tuple[Setting, Worker]:
    """Every rank's part after a loss: dead workers' nodes live elsewhere, or not, and all are where they go on from."""
    checkpoint = from_server(ranks, lambda: None if serving is None else serving.back(ranks, setting, lost))
    setting = setting.again(ranks, workers)
    host = setting.worker(ranks.worker or 0)
    agree(ranks, lambda: restore(ranks, host, checkpoint))
    return setting, host


def restore(ranks: Ranks, host: Worker, start: Path | None) -> None:
    """What the nodes of this rank remembered."""
    if start is not None and ranks.worker is not None:
        with usable(start):
            host.restore(Checkpoint(start))


class Serving:
    """The server's side of a run over all its legs: its file, and where it goes on from.

    Parameters
    ----------
    recorder : Recorder
    start : Path or None
        The checkpoint that the first leg goes on from; None: from x^0.
    watcher : Watcher or None
    clocks : ndarray or None
        What `pmom_mpi.transport.base.Ranks.clocks` found, in a run that is traced; a trace ends where ranks are lost.

    Attributes
    ----------
    ended : Result or None
        How the run ended, once it has.
    """

    def __init__(
        self, recorder: Recorder, start: Path | None, watcher: Watcher | None, clocks: np.ndarray | None
    ) -> None:
        self.ended: Result | None = None
        self._recorder = recorder
        self._start = start
        self._watcher = watcher
        self._clocks = clocks
        self._snapshot: Snapshot | None = None
        self._server: Server | None = None
        self._saving: Saving | None = None

    def leg(self, ranks: Ranks, setting: Setting, host: Worker) -> None:
        """Serve until the run ends, or ranks are lost."""
        self._saving = saving = Saving(setting.config.checkpoint, self._recorder, bool(host.memory(0)))
        with Signals() as signals:
            self._server = server = self._make(ranks, setting, host, saving, signals)
            if self._snapshot is not None:
                server.resume(self._snapshot)
            elif self._start is not None:
                with usable(self._start):
                    server.resume(Checkpoint(self._start).snapshot())
            with ranks.losses(may_kill=setting.config.transport.fault_tolerant):
                status = server.run()
            self._end(ranks, setting, server, status, signals)

    def _end(self, ranks: Ranks, setting: Setting, server: Server, status: str, signals: Signals) -> None:
        assert self._saving is not None
        self._saving.wait()
        message = ""
        if status == "interrupted":
            message = f"interrupted by signal {signals.arrived}"
        elif server.origin is not None:
            message = f"iteration {server.origin.iteration}: {server.origin.words}"
            print(f"pmom: {message}", file=sys.stderr, flush=True)
        self._recorder.finish(status, server.x, message)
        if self._watcher is not None:
            self._watcher.end(status)
        if status == "interrupted" and ranks.size > 1:
            print(f"pmom: {message}; the run file is complete up to here", file=sys.stderr, flush=True)
        code = 128 + (signals.arrived or 0) if status == "interrupted" else EXIT_CODES[status]
        if status == "diverged" and setting.config.on_divergence == "continue":
            code = 0
        self.ended = Result(status, code, Path(setting.config.output), server.x)

    def failed(self, error: BaseException) -> None:
        """The run ends with this: its file is completed as well as can be."""
        if self.ended is not None:
            return
        status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
        with suppress(Exception):  # what is told is what came first
            if self._saving is not None:
                self._saving.discard()
        with suppress(Exception):
            x = None if self._server is None else self._server.x
            self._recorder.finish(status, x, message=text_of(error).splitlines()[-1])
        with suppress(Exception):
            if self._watcher is not None:
                self._watcher.end(status)

    def back(self, ranks: Ranks, setting: Setting, lost: list[Place]) -> Path | None:
        """After a loss: make ready to repeat the iteration, or to go back to a checkpoint where nodes remember things.

        Returns the checkpoint, if it is one.
        """
        if self.ended is not None:
            return None
        assert self._server is not None and self._saving is not None
        self._saving.discard()
        self._clocks = None
        if not ranks.workers:
            last = lost[-1]
            words = f"it was the last worker; pmom resume {self._recorder.path} goes on with the run"
            raise WorkerFailed(last.rank, last.host, words, False)
        if not self._saving.asks_nodes and not setting.config.downlink:
            self._snapshot = self._server.snapshot()
            return None
        self._snapshot = None
        self._recorder.flush()
        found, _ = newest(self._recorder.path, self._recorder.run_id, self._server.next)
        self._start = None if found is None else found.path
        first = 0 if found is None else found.iteration
        self._recorder = self._recorder.rewound(max(first - 1, 0), ranks.workers)
        return self._start

    def went_on(self, ranks: Ranks, setting: Setting, lost: list[Place], seconds: float) -> None:
        """Say which ranks were lost, on the screen and in the file."""
        if self.ended is not None or not lost:
            return
        assert self._server is not None
        at, first, dropped = self._server.next, self._first(), setting.hosting.dropped
        what = f"its nodes moved to {ranks.workers} workers"
        if dropped:
            left = setting.hosting.nodes - len(dropped)
            what = f"{DROPPED}; the average is over {left} of {setting.hosting.nodes} nodes"
        for place in lost:
            words = f"lost; {what}, on from iteration {first} after {seconds:.2g} s"
            print(f"pmom: iteration {at}: rank {place.rank} on {place.host} is {words}", file=sys.stderr, flush=True)
            self._recorder.event(at, words, place.rank, place.host)

    def _first(self) -> int:
        """The iteration that the next leg begins with."""
        if self._snapshot is not None:
            return self._snapshot.iteration
        return 0 if self._start is None else Checkpoint(self._start).iteration

    def _make(self, ranks: Ranks, setting: Setting, host: Worker, saving: Saving, signals: Signals) -> Server:
        recorder, watcher = self._recorder, self._watcher

        def append(entry: Entry) -> None:
            recorder.append(entry.row, entry.nodes, entry.workers, entry.intervals)
            if watcher is not None:
                watcher.row(entry.row)

        def lags(iteration: int, words: str, rank: int, host: str) -> None:
            print(f"pmom: iteration {iteration}: {words}", file=sys.stderr, flush=True)
            recorder.event(iteration, words, rank, host)

        def tell(found: Origin) -> None:
            rank = -1 if found.node is None else ranks.size - ranks.workers + setting.hosting.worker_of(found.node)
            recorder.event(found.iteration, found.words, rank, "" if rank < 0 else ranks.hosts[rank])

        traced = 0 if self._clocks is None else setting.config.record.trace_iterations
        each_node, dropped = setting.config.record.nodes, setting.hosting.dropped
        ledger = Ledger(setting.schema, append, each_node, traced, self._clocks, dropped)
        patience = Patience(ranks.hosts, setting.config.transport.deadline, lags)
        return assemble(ranks, setting, host, signals, patience, ledger, saving, tell)
