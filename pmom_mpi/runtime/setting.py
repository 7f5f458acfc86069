"""The one way from a config to a ready problem: what every rank makes of it before the first iteration."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.bias.clipping import sample_clip
from pmom_mpi.bias.compose import warnings
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.config import Config
from pmom_mpi.data import describe, divide, heterogeneity, open_dataset
from pmom_mpi.data.sampling import Batch
from pmom_mpi.method import diagnosis, exactly
from pmom_mpi.method.downlink import Companion, Compressed, Dense, Downlink
from pmom_mpi.method.errands import Evaluation
from pmom_mpi.method.worker import Worker
from pmom_mpi.problems import metrics
from pmom_mpi.problems.base import ClipsSamples, Context, Doubtful, Exact, Problem, Solvable, Stateful
from pmom_mpi.record.place import check_place
from pmom_mpi.runtime.dropping import check_policy
from pmom_mpi.runtime.source import Raw, Source
from pmom_mpi.runtime.together import agree, from_server
from pmom_mpi.transport.base import Ranks
from pmom_mpi.transport.one_process import OneProcess
from pmom_mpi.wire import codec
from pmom_mpi.wire.values.raw import Raw as RawValues
from pmom_mpi.words.errors import UserError, blame
from pmom_mpi.words.nodes import Hosting
from pmom_mpi.words.report import Metric, Report, Schema


@dataclass(frozen=True)
class Setting:
    """A run on these ranks, ready for its first iteration.

    Attributes
    ----------
    source : Source
    config : Config
    problem : Problem
        Set up for the nodes that live on this rank, and solved where it can be.
    pipeline : Pipeline
        The bias of these nodes.
    hosting : Hosting
    schema : Schema
    facts : dict of str to float
        What is known of the data's division, for the run file.
    warnings : list of str
        What is not forbidden and hardly meant, a line each.
    """

    source: Source
    config: Config
    problem: Problem
    pipeline: Pipeline
    hosting: Hosting
    schema: Schema
    facts: dict[str, float]
    warnings: list[str]
    found: object = None
    """What takes everybody's data and was solved for once."""

    @classmethod
    def make(cls, ranks: Ranks, source: Source, nodes: range | None = None) -> Setting:
        """Set every rank up; all ranks call this alike.

        Parameters
        ----------
        ranks : Ranks
        source : Source
        nodes : range, optional
            Host these instead of the nodes that are this rank's, to ask a problem about them.

        Raises
        ------
        UserError
            In one process, when config, data, problem and bias do not fit together; in a job all ranks exit.
        """
        setting = agree(ranks, lambda: cls._load(ranks, source, nodes))
        if isinstance(setting.problem, Solvable):
            solvable = setting.problem
            with blame(source.name):
                found = from_server(ranks, solvable.solve)
                agree(ranks, lambda: solvable.adopt(found))
            setting = replace(setting, found=found)
        return agree(ranks, setting._described)

    def again(self, ranks: Ranks, lost: Collection[int]) -> Setting:
        """The same without the workers that are lost; nothing is solved for a second time.

        Their nodes are dropped, or all nodes are dealt out afresh.
        """

        def made() -> Setting:
            drops = self.config.transport.on_loss == "drop"
            hosting = self.hosting.without(lost) if drops else replace(self.hosting, workers=ranks.workers)
            nodes = range(0) if ranks.worker is None else hosting.nodes_of(ranks.worker)
            setting = replace(self._load(ranks, self.source, nodes), found=self.found, hosting=hosting)
            if isinstance(setting.problem, Solvable):
                setting.problem.adopt(self.found)
            return setting._described()

        return agree(ranks, made)

    @classmethod
    def _load(cls, ranks: Ranks, source: Source, nodes: range | None) -> Setting:
        config = source.config()
        problem = config.make_problem()
        with blame(source.name):
            if ranks.workers > config.nodes:
                raise UserError(f"nodes: {config.nodes} cannot occupy {ranks.workers} workers; start fewer ranks")
            facts, sizes = _set_up(config, problem, _hosted(ranks, config.nodes) if nodes is None else nodes)
            _check_exact(config, problem)
            samples = partial(_samples, config.gradient, sizes) if sizes else None
            dtype = np.dtype(config.dtype)
            pipeline = Pipeline(config.bias, problem.layout, dtype, config.seed, samples=samples)
            if config.diagnostics.repeats and any(stage.init(problem.layout, dtype) for stage in pipeline.stages):
                raise UserError("diagnostics.repeats: what stages of bias remember cannot be drawn again; leave it 0")
            check_policy(config, problem, pipeline)
            doubts = warnings(pipeline.stages, problem.layout, "bias", _uneven(config.gradient, sizes))
            doubts += warnings(config.downlink, problem.layout, "downlink")
        hosting = Hosting(config.nodes, problem.chunks, ranks.workers)
        return cls(source, config, problem, pipeline, hosting, Schema(()), facts, doubts)

    def _described(self) -> Setting:
        """The same with its schema: what a problem measures may depend on whether it is solved."""
        problem = self.problem
        share = problem.state.size if isinstance(problem, Stateful) else 0
        point = "w" if self.config.downlink else "x"
        schema = Schema(
            problem.metrics, self.pipeline.statistics, problem.evaluation, share, point, traced=self.config.record.trace
        )
        if self.config.diagnostics.every:
            repeats, reported = self.config.diagnostics.repeats, self._reported()
            columns = diagnosis.columns(point, reported, self.config.momentum, repeats)
            schema = replace(schema, diagnosis=columns, diagnosed=diagnosis.node_columns(point, reported))
        return replace(self, schema=schema)

    def _reported(self) -> tuple[Metric, ...]:
        """What every node says in a diagnosis."""
        return exactly.reported(self.pipeline, self.config.diagnostics.repeats)

    def errands(self) -> tuple[Evaluation, ...]:
        """What may ride on this run's broadcasts."""
        names = tuple(metric.name for metric in self.schema.tested)
        return (Evaluation(self.problem, names, self.config.evaluate.every, self.config.iterations),)

    def diagnosis(self) -> diagnosis.Diagnosis | None:
        """The server's half of the diagnosis, where there is one."""
        config = self.config
        if not config.diagnostics.every:
            return None
        return diagnosis.Diagnosis(
            config.diagnostics.every, self.problem.layout.dimension, config.nodes, config.dtype, config.momentum,
            self._reported(), config.diagnostics.repeats,
        )  # fmt: skip

    def downlink(self) -> Downlink:
        """One end of the model's way to the nodes: dense, or compressed changes that every rank adds up (EF21-P)."""
        config, dtype = self.config, np.dtype(self.config.dtype)
        way: Downlink = Dense(dtype)
        if config.downlink:
            pipeline = Pipeline(config.downlink, self.problem.layout, dtype, config.seed, "downlink")
            server = config.nodes  # random draws as those of one more node
            way = Compressed(self.problem.initial_point(), pipeline, server, config.wire.checksum)
        return Companion(way, self.problem) if isinstance(self.problem, Stateful) else way

    def worker(self, worker: int) -> Worker:
        """The nodes of this rank, ready to work."""
        report = Report.blank(self.schema, self.hosting)
        extra = None
        if self.config.diagnostics.every and isinstance(self.problem, Exact):
            dimension, checksum = self.problem.layout.dimension, self.config.wire.checksum
            repeats = self.config.diagnostics.repeats
            extra = exactly.Exactly(self.problem, self.pipeline, report, dimension, checksum, repeats)
        return Worker(
            self.problem, self.pipeline, self.downlink(), self.hosting, worker, report, self.errands(),
            self.config.wire.checksum, extra,
        )  # fmt: skip

    @property
    def capacity(self) -> int:
        """The size of the largest payload of a node, in bytes."""
        most = self.pipeline.max_bytes()
        if not self.config.diagnostics.every:
            return most
        return max(most, codec.frame(RawValues.max_size(self.problem.layout.dimension, np.dtype(self.config.dtype))))


def ready(config: Raw, overrides: Iterable[str] = ()) -> Setting:
    """All nodes set up in this process, as for a run; raises `UserError` as `run` does."""
    return Setting.make(OneProcess(), Source.read(config, overrides))


def validate(config: Raw, overrides: Iterable[str] = ()) -> list[str]:
    """Everything that `run` checks before its first iteration, without running; what was found, a line each.

    Raises
    ------
    UserError
        As `run`.
    """
    setting = ready(config, overrides)
    checked, dimension = setting.config, setting.problem.layout.dimension
    written = {"momentum": "sgd", "bias": "none"} | {key: part for key, part in setting.source.raw.items() if part}
    setting.problem.initial_point()
    with blame(setting.source.name):
        setting.downlink()
    with blame(f"{setting.source.name}: output"):
        check_place(checked.output, overwrite=True)
    lines = [
        f"{setting.source.name}: valid",
        f"{checked.iterations} iterations on {checked.nodes} nodes, d = {dimension:,} ({checked.dtype})",
        *(f"{key}: {configs.in_a_line(written[key])}" for key in ("momentum", "bias", "downlink") if key in written),
        f"run file: {checked.output}" + (" (exists: run needs --overwrite)" if os.path.exists(checked.output) else ""),
    ]
    if checked.data is not None:
        lines += describe(open_dataset(checked.data))
    lines += [f"data: {name} = {value:.4g}" for name, value in setting.facts.items()]
    lines += configs.own_code(checked)
    return lines + setting.warnings


def _hosted(ranks: Ranks, nodes: int) -> range:
    """The nodes that live on this rank."""
    return range(0) if ranks.worker is None else Hosting(nodes, 0, ranks.workers).nodes_of(ranks.worker)


def _samples(batch: Batch, shards: list[int], node: int, iteration: int) -> int:
    """How many samples a node's gradient is the mean over."""
    return batch.count(shards[node], iteration)


def _uneven(batch: Batch, shards: list[int]) -> bool:
    """Whether some batches are larger than others."""
    return len(set().union(*(batch.sizes(samples) for samples in shards))) > 1


def _set_up(config: Config, problem: Problem, hosted: range) -> tuple[dict[str, float], list[int]]:
    """Make the problem ready to answer for the nodes of ``hosted``.

    Returns what is known of the data's division, and how many samples each node has; nothing without a data set.
    """
    data, shards = None, []
    if config.data is not None:
        data = open_dataset(config.data)
        shards = divide(config.data, data.train.targets, config.seed)
        config.gradient.check([len(rows) for rows in shards])
    clip, dtype = _sample_clip(config, problem), np.dtype(config.dtype)
    problem.setup(Context(config.nodes, hosted, config.seed, dtype, data, shards, config.gradient, clip))
    metrics.check(problem)
    facts = {} if data is None else heterogeneity(data.train.targets, shards, data.classes)
    return facts, [len(rows) for rows in shards]


def _check_exact(config: Config, problem: Problem) -> None:
    """Whether the problem has the exact gradient that a diagnosis needs."""
    if not config.diagnostics.every:
        return
    kind = type(problem).__name__
    if not isinstance(problem, Exact):
        raise UserError(f"diagnostics.every: problem {kind} has no exact gradient to compare with; leave it 0")
    if isinstance(problem, Doubtful) and problem.ambiguous:
        raise UserError(f"diagnostics.every: problem {kind}: no exact gradient, {problem.ambiguous}; leave it 0")
    if sample_clip(config.bias) is not None:
        raise UserError("diagnostics.every: with clip_per_sample no exact gradient is computed; leave it 0")


def _sample_clip(config: Config, problem: Problem) -> float | None:
    """To what norm the problem is to clip every sample's gradient."""
    tau = sample_clip(config.bias)
    if tau is not None and not (isinstance(problem, ClipsSamples) and problem.clips_samples):
        kind = type(problem).__name__
        raise UserError(f"bias[0]: clip_per_sample: problem {kind} cannot clip single samples; mlp can")
    return tau
