"""From a config to a finished run: sets every rank up, runs its part, and sees to it that no failure hangs the job."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.method.ledger import Ledger, columns, node_columns, worker_columns
from pmom_mpi.method.server import Server
from pmom_mpi.problems.base import CONSTANTS
from pmom_mpi.record.provenance import provenance
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.runtime.dense import dense_seconds
from pmom_mpi.runtime.setting import Raw, Setting, Source
from pmom_mpi.runtime.together import EXIT_CODES, agree, from_server, text_of, together
from pmom_mpi.transport import connect
from pmom_mpi.transport.base import Ranks
from pmom_mpi.transport.signals import Interrupted, Signals
from pmom_mpi.words.errors import blame
from pmom_mpi.words.report import Entry, Row


class Watcher(Protocol):
    """Who wants to see a run as it goes (a progress bar); called on rank 0 only."""

    def begin(self, setting: Setting, ranks: int) -> None: ...

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
    """

    status: str
    exit_code: int
    path: Path
    x: np.ndarray | None


def run(
    config: Raw,
    overrides: Iterable[str] = (),
    output: str | Path | None = None,
    overwrite: bool = False,
    watcher: Watcher | None = None,
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

    Raises
    ------
    UserError
        In one process, when config, data or output cannot be used. In an MPI job rank 0 prints the line instead and
        every rank exits with status 2.

    Examples
    --------
    >>> result = run("configs/quickstart.yaml", ["iterations=10"])  # doctest: +SKIP
    """
    ranks = connect()
    with together(ranks):
        source = from_server(ranks, lambda: Source.read(config, overrides, output))
        setting = Setting.make(ranks, source)
        link = ranks.link_speed()
        recorder = agree(ranks, lambda: _recorder(ranks, setting, link, overwrite) if ranks.serves else None)
        ended = None
        if recorder is None:
            assert ranks.worker is not None
            ranks.serve(setting.worker(ranks.worker), setting.hosting, setting.capacity)
        else:
            ended = _serve(ranks, setting, recorder, watcher)
        result = ranks.share(ended)
        ranks.close()
    return result if ranks.serves else Result(result.status, result.exit_code, result.path, None)


def _serve(ranks: Ranks, setting: Setting, recorder: Recorder, watcher: Watcher | None) -> Result:
    """The server's whole run: however it ends, the run file is completed."""
    server = None
    try:
        with Signals() as signals:
            server = _server(ranks, setting, recorder, watcher, signals)
            if watcher is not None:
                watcher.begin(setting, ranks.size)
            status = server.run()
            message = f"interrupted by signal {signals.arrived}" if status == "interrupted" else ""
            recorder.finish(status, server.x, message)
            if watcher is not None:
                watcher.end(status)
            if message and ranks.size > 1:
                print(f"pmom: {message}; the run file is complete up to here", file=sys.stderr, flush=True)
    except BaseException as error:
        status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
        with suppress(Exception):  # what is told is what came first
            recorder.finish(status, None if server is None else server.x, message=text_of(error).splitlines()[-1])
        with suppress(Exception):
            if watcher is not None:
                watcher.end(status)
        raise
    code = 128 + (signals.arrived or 0) if status == "interrupted" else EXIT_CODES[status]
    if status == "diverged" and setting.config.on_divergence == "continue":
        code = 0
    return Result(status, code, Path(setting.config.output), server.x)


def _server(ranks: Ranks, setting: Setting, recorder: Recorder, watcher: Watcher | None, signals: Signals) -> Server:
    config, problem, pipeline = setting.config, setting.problem, setting.pipeline

    def append(entry: Entry) -> None:
        recorder.append(entry.row, entry.nodes, entry.workers)
        if watcher is not None:
            watcher.row(entry.row)

    star = ranks.star(setting.worker(0), setting.hosting, setting.capacity, signals)
    aggregate = Aggregate(problem.layout.dimension, config.dtype, config.nodes, pipeline.integrates, pipeline.combine)
    ledger = Ledger(setting.schema, append, config.record.nodes)
    loss = setting.schema.reported[0].name
    return Server(
        config, problem, star, setting.downlink(), aggregate, ledger, setting.errands(), lambda: signals.arrived, loss
    )


def _recorder(ranks: Ranks, setting: Setting, link: float, overwrite: bool) -> Recorder:
    """The run file, open for the first row."""
    config, problem, hosting = setting.config, setting.problem, setting.hosting
    facts: dict[str, int | float | np.ndarray] = {
        "dimension": problem.layout.dimension,
        "ranks": ranks.size,
        "nodes": config.nodes,
        "nodes_per_worker": np.array([len(hosting.nodes_of(worker)) for worker in range(ranks.workers)]),
        "link_bytes_per_second": link,
        "dense_bytes": config.nodes * problem.layout.dimension * np.dtype(config.dtype).itemsize,
        "dense_seconds": dense_seconds(problem.layout.dimension, config, ranks.workers),
        **{f"data_{name}": value for name, value in setting.facts.items()},
        **{f"problem_{name}": value for name in CONSTANTS if (value := getattr(problem, name, None)) is not None},
    }
    with blame(f"{setting.source.name}: output"):
        return Recorder(
            config.output,
            config_text=configs.to_yaml(setting.source.raw),
            metrics=columns(setting.schema),
            dimension=problem.layout.dimension,
            dtype=config.dtype,
            provenance=provenance({"mpi_library": ranks.library, "hosts": ", ".join(ranks.hosts)}),
            facts=facts,
            overwrite=overwrite,
            flush_seconds=config.record.flush_seconds,
            node_metrics=node_columns(setting.schema) if config.record.nodes else (),
            nodes=config.nodes,
            worker_metrics=worker_columns() if ranks.workers > 1 else (),
            workers=ranks.workers,
        )
