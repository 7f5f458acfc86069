"""From a config to a finished run: sets every rank up, runs its part, and sees to it that no failure hangs the job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.config import Config
from pmom_mpi.method.server import NodeRow, Row, Server
from pmom_mpi.problems.base import CONSTANTS, Problem, Solvable
from pmom_mpi.record.columns import column, node_column
from pmom_mpi.record.provenance import provenance
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.runtime import setting as preparation
from pmom_mpi.runtime.setting import Part
from pmom_mpi.runtime.together import EXIT_CODES, agree, give_up, text_of
from pmom_mpi.transport import connect
from pmom_mpi.transport.base import SERVER, Interrupted
from pmom_mpi.transport.signals import Signals
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.errors import UserError, blame
from pmom_mpi.words.nodes import block

DENSE_TRIALS = 5


class Watcher(Protocol):
    """Who wants to see a run as it goes (a progress bar); called on rank 0 only."""

    def begin(self, config: Config, problem: Problem, ranks: int) -> None: ...

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
    config: str | Path | Mapping[str, Any],
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
    group = connect()
    try:
        read = agree(group, lambda: preparation.read(config, overrides, output) if group.rank == SERVER else None)
        raw, source, folders = group.share(read)
        configs.allow_modules(folders)
        part = agree(group, lambda: preparation.make(group, raw, source))
        _solve(group, part)
        link = group.link_speed()
        if group.rank != SERVER:
            agree(group, lambda: None)
            return _work(group, part)
        recorder = agree(group, lambda: _recorder(group, part, link, overwrite))
        return _serve(group, part, recorder, watcher)
    finally:
        group.close()


def _work(group: Any, part: Part) -> Result:
    """A worker's whole run; a failure is told to the server, which ends the job."""
    try:
        with Signals(ignore=True):
            group.edge(part.worker, codec.max_bytes(part.config.problem.layout.dimension, part.pipeline.dtype)).serve()
    except Exception as error:
        group.report_failure(text_of(error), isinstance(error, UserError))
    status, code = group.share(None)
    return Result(status, code, Path(part.config.output), None)


def _solve(group: Any, part: Part) -> None:
    """What a problem wants one rank to find out from all nodes' data (f*, L) becomes known to all."""
    problem = part.config.problem
    if isinstance(problem, Solvable):
        with blame(part.source):
            found = agree(group, lambda: problem.solve() if group.rank == SERVER else None)
        problem.adopt(group.share(found))


def _recorder(group: Any, part: Part, link: float, overwrite: bool) -> Recorder:
    """The run file, open for the first row."""
    config, problem = part.config, part.config.problem
    metrics = Server.columns(problem, part.pipeline.statistics)
    each = Server.node_columns(problem, part.pipeline.statistics) if config.record.nodes else ()
    facts = {
        "mpi_library": group.library,
        "ranks": str(group.size),
        "hosts": ", ".join(group.hosts),
        "nodes_per_worker": ", ".join(str(len(block(config.nodes, group.workers, w))) for w in range(group.workers)),
        "dimension": str(problem.layout.dimension),
        "link_bytes_per_second": str(link),
        "dense_bytes": str(config.nodes * problem.layout.dimension * np.dtype(config.dtype).itemsize),
        "dense_seconds": str(_dense_seconds(config, group.workers)),
        **{f"data_{name}": str(value) for name, value in part.facts.items()},
        **{f"problem_{name}": str(value) for name in CONSTANTS if (value := getattr(problem, name, None)) is not None},
    }
    with blame(f"{part.source}: output"):
        return Recorder(
            config.output,
            config_text=configs.to_yaml(part.raw),
            metrics={name: column(name) for name in metrics},
            dimension=problem.layout.dimension,
            dtype=config.dtype,
            provenance=provenance(facts),
            overwrite=overwrite,
            flush_seconds=config.record.flush_seconds,
            node_metrics={name: node_column(name) for name in each},
            nodes=config.nodes,
        )


def _dense_seconds(config: Config, workers: int) -> float:
    """Seconds an iteration that encoding and decoding would take if whole gradients were sent, measured here."""
    gradient = np.zeros(config.problem.layout.dimension, config.dtype)
    total, buffer = gradient.copy(), np.empty(codec.max_bytes(gradient.size, gradient.dtype), np.uint8)
    encode = decode = np.inf
    for _ in range(DENSE_TRIALS):
        began = perf_counter()
        size = codec.encode(Message(gradient.size, Everything(), Raw(gradient)), buffer, config.wire.checksum)
        encoded = perf_counter()
        codec.add(buffer[:size], total)
        encode, decode = min(encode, encoded - began), min(decode, perf_counter() - encoded)
    return encode * -(-config.nodes // workers) + decode * config.nodes


def _serve(group: Any, part: Part, recorder: Recorder, watcher: Watcher | None) -> Result:
    """The server's whole run: however it ends, the run file is completed."""
    config, problem, pipeline = part.config, part.config.problem, part.pipeline

    def append(row: Row, nodes: NodeRow) -> None:
        recorder.append(row, nodes)
        if watcher is not None:
            watcher.row(row)

    failure: BaseException | None = None
    with Signals() as signals:
        capacity = codec.max_bytes(problem.layout.dimension, pipeline.dtype)
        star = group.centre(part.worker, part.report, config.nodes, capacity, signals)
        server = Server(config, problem, pipeline, star, part.downlink, append)
        if watcher is not None:
            watcher.begin(config, problem, group.size)
        try:
            status = server.run()
        except Exception as error:
            status, failure = "interrupted" if isinstance(error, Interrupted) else "failed", error
        recorder.finish(status, server.x, message="" if failure is None else text_of(failure).splitlines()[-1])
        if watcher is not None:
            watcher.end(status)
    code = 128 + failure.signal if isinstance(failure, Interrupted) else EXIT_CODES[status]
    if status == "diverged" and config.on_divergence == "continue":
        code = 0
    if failure is not None:
        give_up(group, failure, code)
    group.share((status, code))
    return Result(status, code, Path(config.output), server.x)
