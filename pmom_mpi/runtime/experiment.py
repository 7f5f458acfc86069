"""From a config to a finished run: sets every rank up, runs its part, and sees to it that no failure hangs the job."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.method.divergence import Origin
from pmom_mpi.method.ledger import Ledger, columns, node_columns, worker_columns
from pmom_mpi.method.server import Method, Server
from pmom_mpi.method.worker import Worker
from pmom_mpi.problems.base import Known, Problem
from pmom_mpi.record.checkpoint import Checkpoint, clear, usable
from pmom_mpi.record.place import check_place
from pmom_mpi.record.provenance import provenance
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.runtime import determinism
from pmom_mpi.runtime.dense import dense_seconds
from pmom_mpi.runtime.resume import Beginning, resumed
from pmom_mpi.runtime.saving import Saving
from pmom_mpi.runtime.setting import Raw, Setting, Source
from pmom_mpi.runtime.together import EXIT_CODES, agree, from_server, text_of, together
from pmom_mpi.runtime.warm_up import warm_up
from pmom_mpi.transport import connect
from pmom_mpi.transport.base import Ranks
from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.placement import cores_available
from pmom_mpi.transport.signals import Interrupted, Signals
from pmom_mpi.words.errors import blame
from pmom_mpi.words.report import Entry, Row


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
        Whether a run that was to go on was over already, so that nothing was done.
    """

    status: str
    exit_code: int
    path: Path
    x: np.ndarray | None
    over: bool = False


def run(
    config: Raw,
    overrides: Iterable[str] = (),
    output: str | Path | None = None,
    overwrite: bool = False,
    watcher: Watcher | None = None,
    resume: bool = False,
    check_determinism: bool = False,
) -> Result:
    """Run an experiment; every rank of an MPI job calls this alike, one process without MPI does it all.

    Parameters
    ----------
    config : path or mapping
        A YAML file, or what one holds.
    overrides : iterable of str
        ``key.path=value``.
    output : path, optional
        The run file, instead of the config's.
    overwrite : bool
        Replace an existing run file.
    watcher : Watcher, optional
        Told about every iteration, on rank 0.
    resume : bool
        Where the run file exists already, go on with its run (`pmom_mpi.runtime.experiment.resume`).
    check_determinism : bool
        Before the run begins, make its first iterations twice and compare all bits (`pmom_mpi.runtime.determinism`).

    Raises
    ------
    UserError
        In one process, when config, data or output cannot be used. In an MPI job rank 0 prints the line instead and
        every rank exits with status 2.

    Examples
    --------
    >>> result = run("configs/quickstart.yaml", ["iterations=10"])  # doctest: +SKIP
    """

    def begin() -> Beginning:
        source = Source.read(config, overrides, output)
        if resume:
            configs.allow_modules(source.folders)
            place = configs.from_raw(source.raw, source.name).output
            if os.path.exists(place):
                return resumed(place, source)
        return Beginning(source, replaces=overwrite)

    return _run(begin, watcher, check_determinism)


def resume(run_file: str | Path, extend: int | None = None, watcher: Watcher | None = None) -> Result:
    """Go on with the run of a run file, bit for bit as if it had never ended, on any number of ranks.

    It goes on from the newest whole checkpoint beside the file; rows behind it are written again, with the same bits.

    Parameters
    ----------
    run_file : path
    extend : int, optional
        How many iterations the run is to have instead; more than it had.
    watcher : Watcher, optional

    Raises
    ------
    UserError
        As `run`; also when the file is no run file, or its run still goes on.
    """
    return _run(lambda: resumed(run_file, extend=extend), watcher)


def _run(begin: Callable[[], Beginning], watcher: Watcher | None, check_determinism: bool = False) -> Result:
    ranks = connect()
    with together(ranks):
        beginning = from_server(ranks, begin)
        source = beginning.source
        if beginning.over:
            return Result(beginning.over, 0, Path(source.raw["output"]), None, over=True)
        began = perf_counter()
        setting = Setting.make(ranks, source)
        agree(ranks, lambda: _announce(ranks, setting, beginning, watcher) if ranks.serves else None)
        host = setting.worker(ranks.worker or 0)
        warm_up_seconds = warm_up(ranks, setting, host)
        if check_determinism:
            found = determinism.check(ranks, setting)
            if ranks.serves:
                print(f"determinism: {found}", file=sys.stderr, flush=True)
        agree(ranks, lambda: _restore(ranks, host, beginning.checkpoint))
        seconds = {"setup_seconds": perf_counter() - began - warm_up_seconds, "warm_up_seconds": warm_up_seconds}
        link = ranks.link_speed()
        clocks = ranks.clocks() if setting.config.record.trace else None
        recorder = agree(
            ranks, lambda: _recorder(ranks, setting, link, seconds, beginning, clocks) if ranks.serves else None
        )
        ended = None
        if recorder is None:
            ranks.serve(host, setting.hosting, setting.capacity)
        else:
            if watcher is not None:
                watcher.ready(warm_up_seconds)
            ended = _serve(ranks, setting, host, recorder, beginning.checkpoint, watcher, clocks)
        result = ranks.share(ended)
        ranks.close()
    return result if ranks.serves else Result(result.status, result.exit_code, result.path, None)


def _announce(ranks: Ranks, setting: Setting, beginning: Beginning, watcher: Watcher | None) -> None:
    """Say what is about to run, once its run file can be made."""
    if beginning.checkpoint is None:
        with blame(f"{setting.source.name}: output"):
            check_place(setting.config.output, beginning.replaces)
    for note in beginning.notes:
        print(note, file=sys.stderr, flush=True)
    if watcher is not None:
        watcher.begin(setting, ranks.size)


def _restore(ranks: Ranks, host: Worker, start: Path | None) -> None:
    """What the nodes of this rank remembered."""
    if start is not None and ranks.worker is not None:
        with usable(start):
            host.restore(Checkpoint(start))


def _serve(
    ranks: Ranks,
    setting: Setting,
    host: Worker,
    recorder: Recorder,
    start: Path | None,
    watcher: Watcher | None,
    clocks: np.ndarray | None,
) -> Result:
    """The server's whole run: however it ends, the run file is completed."""
    server, message = None, ""
    saving = Saving(setting.config.checkpoint, recorder, bool(host.memory(0)))
    try:
        with Signals() as signals:
            server = _server(ranks, setting, host, recorder, saving, watcher, signals, clocks)
            if start is not None:
                with usable(start):
                    server.resume(Checkpoint(start).snapshot())
            status = server.run()
            saving.wait()
            if status == "interrupted":
                message = f"interrupted by signal {signals.arrived}"
            elif server.origin is not None:
                message = f"iteration {server.origin.iteration}: {server.origin.words}"
                print(f"pmom: {message}", file=sys.stderr, flush=True)
            recorder.finish(status, server.x, message)
            if watcher is not None:
                watcher.end(status)
    except BaseException as error:
        status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
        with suppress(Exception):  # what is told is what came first
            saving.discard()
        with suppress(Exception):
            recorder.finish(status, None if server is None else server.x, message=text_of(error).splitlines()[-1])
        with suppress(Exception):
            if watcher is not None:
                watcher.end(status)
        raise
    if status == "interrupted" and ranks.size > 1:
        print(f"pmom: {message}; the run file is complete up to here", file=sys.stderr, flush=True)
    code = 128 + (signals.arrived or 0) if status == "interrupted" else EXIT_CODES[status]
    if status == "diverged" and setting.config.on_divergence == "continue":
        code = 0
    return Result(status, code, Path(setting.config.output), server.x)


def _server(
    ranks: Ranks, setting: Setting, host: Worker, recorder: Recorder, saving: Saving, watcher: Watcher | None,
    signals: Signals, clocks: np.ndarray | None,
) -> Server:  # fmt: skip
    config, problem, pipeline = setting.config, setting.problem, setting.pipeline

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

    patience = Patience(ranks.hosts, config.transport.deadline, lags)
    star = ranks.star(host, setting.hosting, setting.capacity, signals, patience)
    aggregate = Aggregate(problem.layout.dimension, config.dtype, config.nodes, pipeline.integrates, pipeline.combine)
    traced = 0 if clocks is None else config.record.trace_iterations
    ledger = Ledger(setting.schema, append, config.record.nodes, traced, clocks)
    names = tuple(metric.name for metric in setting.schema.reported)
    method = Method(config.momentum, config.step_size, config.iterations, config.nodes, config.on_divergence == "stop")
    return Server(
        method, problem, star, setting.downlink(), aggregate, ledger, setting.errands(), saving,
        lambda: signals.arrived, names, tell, setting.diagnosis(),
    )  # fmt: skip


def _constants(problem: Problem) -> dict[str, float | None]:
    """What the problem knows of f."""
    if not isinstance(problem, Known):
        return {}
    return {"smoothness": problem.smoothness, "pl_constant": problem.pl_constant, "minimum": problem.minimum}


def _recorder(
    ranks: Ranks, setting: Setting, link: float, seconds: dict[str, float], beginning: Beginning,
    clocks: np.ndarray | None,
) -> Recorder:  # fmt: skip
    """The run file, open for the first row."""
    config, problem, hosting = setting.config, setting.problem, setting.hosting
    text = configs.to_yaml(setting.source.raw)
    if beginning.checkpoint is not None:
        with usable(beginning.checkpoint):
            first = Checkpoint(beginning.checkpoint).iteration
        recorder = Recorder.reopen(
            config.output, first - 1, text, config.record.flush_seconds, ranks.workers, clocks, config.record.locking
        )
        clear(recorder.path, above=first)
        library = " ".join(ranks.library.partition(", package:")[0].split())
        recorder.event(first, f"resumed on {ranks.size} ranks, MPI: {library}", ranks.rank, ranks.hosts[ranks.rank])
        return recorder
    words = {
        "mpi_library": ranks.library, "hosts": ", ".join(ranks.hosts), "folders": "\n".join(setting.source.folders)
    }  # fmt: skip
    facts: dict[str, int | float | np.ndarray] = {
        "dimension": problem.layout.dimension,
        "ranks": ranks.size,
        "cores": len(cores_available()),
        "nodes": config.nodes,
        "nodes_per_worker": np.array([len(hosting.nodes_of(worker)) for worker in range(ranks.workers)]),
        "link_bytes_per_second": link,
        "dense_bytes": config.nodes * problem.layout.dimension * np.dtype(config.dtype).itemsize,
        "dense_seconds": dense_seconds(problem.layout.dimension, config, ranks.workers),
        **seconds,
        **{f"data_{name}": value for name, value in setting.facts.items()},
        **{f"problem_{name}": value for name, value in _constants(problem).items() if value is not None},
    }
    with blame(f"{setting.source.name}: output"):
        recorder = Recorder(
            config.output,
            config_text=text,
            metrics=columns(setting.schema),
            dimension=problem.layout.dimension,
            dtype=config.dtype,
            provenance=provenance(words),
            facts=facts,
            overwrite=beginning.replaces,
            flush_seconds=config.record.flush_seconds,
            node_metrics=node_columns(setting.schema) if config.record.nodes else (),
            nodes=config.nodes,
            worker_metrics=worker_columns() if ranks.workers > 1 else (),
            workers=ranks.workers,
            clocks=clocks,
            locking=config.record.locking,
        )
    clear(recorder.path)
    return recorder
