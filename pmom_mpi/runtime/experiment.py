"""From a config to a finished run: sets every rank up, runs its part, and sees to it that no failure hangs the job."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.method.ledger import columns, node_columns, worker_columns
from pmom_mpi.method.worker import Worker
from pmom_mpi.problems.base import Known, Problem
from pmom_mpi.record.checkpoint import Checkpoint, clear, usable
from pmom_mpi.record.place import check_place
from pmom_mpi.record.provenance import provenance
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.runtime import determinism
from pmom_mpi.runtime.dense import dense_seconds
from pmom_mpi.runtime.legs import Result, Serving, Watcher, legs, restore
from pmom_mpi.runtime.resume import Beginning, resumed
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.runtime.source import Raw, Source
from pmom_mpi.runtime.together import agree, from_server, together
from pmom_mpi.runtime.warm_up import warm_up
from pmom_mpi.transport import connect
from pmom_mpi.transport.base import Ranks
from pmom_mpi.transport.placement import cores_available
from pmom_mpi.words.errors import UserError, blame


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
            place = source.config().output
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
        with ranks.losses():  # before the first iteration a loss ends the job
            beginning = from_server(ranks, begin)
            if beginning.over:
                ranks.close()
                return Result(beginning.over, 0, Path(beginning.source.raw["output"]), None, over=ranks.serves)
            setting, host, serving = _set_up(ranks, beginning, watcher, check_determinism)
        result = legs(ranks, setting, host, serving)
        ranks.close(result.exit_code)
    return result if ranks.serves else Result(result.status, result.exit_code, result.path, None)


def _set_up(
    ranks: Ranks, beginning: Beginning, watcher: Watcher | None, check_determinism: bool
) -> tuple[Setting, Worker, Serving | None]:
    """All that comes before the first iteration; all ranks together."""
    began = perf_counter()
    setting = Setting.make(ranks, beginning.source)
    agree(ranks, lambda: _announce(ranks, setting, beginning, watcher) if ranks.serves else None)
    host = setting.worker(ranks.worker or 0)
    warm_up_seconds = warm_up(ranks, setting, host)
    if check_determinism:
        found = determinism.check(ranks, setting)
        if ranks.serves:
            print(f"determinism: {found}", file=sys.stderr, flush=True)
    agree(ranks, lambda: restore(ranks, host, beginning.checkpoint))
    seconds = {"setup_seconds": perf_counter() - began - warm_up_seconds, "warm_up_seconds": warm_up_seconds}
    link = ranks.link_speed()
    clocks = ranks.clocks() if setting.config.record.trace else None
    recorder = agree(
        ranks, lambda: _recorder(ranks, setting, link, seconds, beginning, clocks) if ranks.serves else None
    )
    if recorder is None:
        return setting, host, None
    if watcher is not None:
        watcher.ready(warm_up_seconds)
    return setting, host, Serving(recorder, beginning.checkpoint, watcher, clocks)


def _announce(ranks: Ranks, setting: Setting, beginning: Beginning, watcher: Watcher | None) -> None:
    """Say what is about to run, once its run file can be made."""
    if setting.config.transport.fault_tolerant and ranks.size > 1 and not ranks.survives:
        raise UserError(
            f"{setting.source.name}: transport.fault_tolerant is true, but the job was not started with "
            "Open MPI's mpirun --with-ft ulfm; start it with pmom launch, or leave it false"
        )
    if beginning.checkpoint is None:
        with blame(f"{setting.source.name}: output"):
            check_place(setting.config.output, beginning.replaces)
    for note in beginning.notes:
        print(note, file=sys.stderr, flush=True)
    if watcher is not None:
        watcher.begin(setting, ranks.size)


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
