"""From a config to a finished run: sets every rank up, runs its part, and sees to it that no failure hangs the job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.bias.clipping import sample_clip
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.config import Config
from pmom_mpi.data import heterogeneity, open_dataset, partition
from pmom_mpi.downlink import Receiver, Sender
from pmom_mpi.errors import UserError, blame
from pmom_mpi.failures import EXIT_CODES, SERVER, agree, give_up, text_of
from pmom_mpi.problems.base import CONSTANTS, Context, Problem, Stateful
from pmom_mpi.record.columns import column, node_column
from pmom_mpi.record.provenance import provenance
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.server import Dense, Downlink, NodeRow, Row, Server
from pmom_mpi.state import ReceiveState, SendState
from pmom_mpi.transport import connect
from pmom_mpi.transport.alone import Alone
from pmom_mpi.transport.base import Interrupted, Report, block
from pmom_mpi.transport.signals import Signals
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.worker import Worker, blank_report

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
        read = agree(group, lambda: _read(config, overrides, output) if group.rank == SERVER else None)
        raw, source, folders = group.share(read)
        configs.allow_modules(folders)
        part = agree(group, lambda: _prepare(group, raw, source))
        _solve(group, part)
        link = group.link_speed()
        if group.rank != SERVER:
            agree(group, lambda: None)
            return _work(group, part)
        recorder = agree(group, lambda: _recorder(group, part, link, overwrite))
        return _serve(group, part, recorder, watcher)
    finally:
        group.close()


@dataclass(frozen=True)
class Part:
    """What every rank has made of the config before the first iteration."""

    config: Config
    raw: Mapping[str, Any]
    source: str
    pipeline: Pipeline
    worker: Worker
    report: Report
    downlink: Downlink
    facts: dict[str, float]
    """What is known of the data's division, for the run file."""


def _read(
    config: str | Path | Mapping[str, Any], overrides: Iterable[str], output: str | Path | None
) -> tuple[dict[str, Any], str, list[str]]:
    if isinstance(config, Mapping):
        return configs.amend(config, overrides, output), "config", [str(Path.cwd())]
    raw = configs.amend(configs.load(config), overrides, output)
    return raw, str(config), [str(Path.cwd()), str(Path(config).resolve().parent)]


def prepare(config: str | Path | Mapping[str, Any], overrides: Iterable[str] = ()) -> Part:
    """All nodes set up in this process, as for a run; raises `UserError` as `run` does."""
    raw, source, folders = _read(config, overrides, None)
    configs.allow_modules(folders)
    return _prepare(Alone(), raw, source)


def validate(config: str | Path | Mapping[str, Any], overrides: Iterable[str] = ()) -> list[str]:
    """Everything that `run` checks before its first iteration, without running; what was found, a line each.

    Raises
    ------
    UserError
        As `run`.
    """
    part = prepare(config, overrides)
    checked, dimension = part.config, part.config.problem.layout.dimension
    lines = [
        f"{part.source}: valid",
        f"{checked.iterations} iterations on {checked.nodes} nodes, d = {dimension:,} ({checked.dtype})",
        f"bias: {' -> '.join(map(str, checked.bias)) or 'none'}",
        f"momentum: {checked.momentum}",
        f"run file: {checked.output}" + (" (exists: run needs --overwrite)" if Path(checked.output).exists() else ""),
    ]
    return lines + [f"data: {name} = {value:.4g}" for name, value in part.facts.items()]


def _prepare(group: Any, raw: Mapping[str, Any], source: str) -> Part:
    """Set this rank up: its nodes' data, buffers, the bias of its gradients."""
    config = configs.from_raw(raw, source)
    with blame(source):
        if group.workers > config.nodes:
            raise UserError(f"nodes: {config.nodes} cannot occupy {group.workers} workers; start fewer ranks")
        dtype, hosted = np.dtype(config.dtype), group.hosted(config.nodes)
        data, shards = set_up(config, hosted)
        pipeline = Pipeline(config.bias, config.problem.layout, dtype, config.seed)
    facts = heterogeneity(data.train.targets, shards, data.classes) if data is not None else {}
    report = blank_report(config.problem, pipeline, config.nodes, group.workers if group.rank == SERVER else 1)
    chunks = group.hosted(config.problem.chunks)
    downlink, receive = _downlink(config)
    if isinstance(config.problem, Stateful):
        downlink, receive = SendState(downlink, config.problem), ReceiveState(receive, config.problem)
    worker = Worker(config.problem, pipeline, receive, hosted, chunks, report, config.wire.checksum)
    return Part(config, raw, source, pipeline, worker, report, downlink, facts)


def set_up(config: Config, hosted: range) -> tuple[Any, list[np.ndarray]]:
    """Make the config's problem ready to answer for the nodes of ``hosted``; the data set and every node's rows of it.

    Raises
    ------
    UserError
        When data, problem and bias do not fit together.
    """
    data, shards = _divide(config)
    clip, dtype = _sample_clip(config), np.dtype(config.dtype)
    config.problem.setup(Context(config.nodes, hosted, config.seed, dtype, data, shards, config.gradient, clip))
    return data, shards


def _sample_clip(config: Config) -> float | None:
    """To what norm the problem is to clip every sample's gradient."""
    tau = sample_clip(config.bias)
    if tau is not None and not getattr(config.problem, "clips_samples", False):
        kind = type(config.problem).__name__
        raise UserError(f"bias[0]: clip_per_sample: problem {kind} cannot clip single samples; mlp can")
    if sample_clip(config.downlink) is not None:
        raise UserError("downlink[0]: clip_per_sample clips gradients of samples; a model's change has none")
    return tau


def _downlink(config: Config) -> tuple[Downlink, Callable[[np.ndarray], np.ndarray]]:
    """The two ends of the model's way to the nodes: dense, or compressed changes that every rank adds up (EF21-P)."""
    if not config.downlink:
        return Dense(), lambda model: model.view(config.dtype)
    start = config.problem.initial_point()
    pipeline = Pipeline(config.downlink, config.problem.layout, np.dtype(config.dtype), config.seed)
    server = config.nodes  # random draws as those of one more node
    sender = Sender(start, lambda change, k: pipeline.apply(change, server, k)[0], config.wire.checksum)
    return sender, Receiver(start)


def _divide(config: Config) -> tuple[Any, list[np.ndarray]]:
    """The data set and the rows of every node's shard; nothing for a problem that makes its own data."""
    if config.data is None:
        return None, []
    data = open_dataset(config.data)
    shards = partition(config.data, data.train.targets, config.seed)
    config.gradient.check([len(rows) for rows in shards])
    return data, shards


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
    if hasattr(problem, "solve"):
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
