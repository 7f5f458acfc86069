"""What every rank makes of a config before the first iteration: its nodes' data, the problem, the bias, the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.bias.clipping import sample_clip
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.config import Config
from pmom_mpi.data import describe, divide, heterogeneity, open_dataset
from pmom_mpi.method.downlink import Receiver, Sender
from pmom_mpi.method.server import Dense, Downlink
from pmom_mpi.method.state import ReceiveState, SendState
from pmom_mpi.method.worker import Worker, blank_report
from pmom_mpi.problems.base import Context, Stateful
from pmom_mpi.transport.alone import Alone
from pmom_mpi.transport.base import SERVER
from pmom_mpi.words.errors import UserError, blame
from pmom_mpi.words.report import Report


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


def read(
    config: str | Path | Mapping[str, Any], overrides: Iterable[str], output: str | Path | None
) -> tuple[dict[str, Any], str, list[str]]:
    """The config with its overrides, what to call it in messages, and the folders of the user's own modules."""
    if isinstance(config, Mapping):
        return configs.amend(config, overrides, output), "config", [str(Path.cwd())]
    raw = configs.amend(configs.load(config), overrides, output)
    return raw, str(config), [str(Path.cwd()), str(Path(config).resolve().parent)]


def prepare(config: str | Path | Mapping[str, Any], overrides: Iterable[str] = ()) -> Part:
    """All nodes set up in this process, as for a run; raises `UserError` as `run` does."""
    raw, source, folders = read(config, overrides, None)
    configs.allow_modules(folders)
    return make(Alone(), raw, source)


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
    told = describe(open_dataset(checked.data)) if checked.data is not None else []
    return [*lines, *told, *(f"data: {name} = {value:.4g}" for name, value in part.facts.items())]


def make(group: Any, raw: Mapping[str, Any], source: str) -> Part:
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
    shards = divide(config.data, data.train.targets, config.seed)
    config.gradient.check([len(rows) for rows in shards])
    return data, shards
