"""The server of a run, put together of a setting and of what becomes of its rows."""

from __future__ import annotations

from collections.abc import Callable

from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.method.divergence import Origin
from pmom_mpi.method.ledger import Ledger
from pmom_mpi.method.server import Method, Saver, Server
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.transport.base import NodeHost, Ranks
from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.signals import Signals


def assemble(
    ranks: Ranks, setting: Setting, host: NodeHost, signals: Signals, patience: Patience, ledger: Ledger, saver: Saver,
    tell: Callable[[Origin], None],
) -> Server:  # fmt: skip
    """Ready for the first iteration, or for `Server.resume`."""
    config, problem, pipeline, dropped = setting.config, setting.problem, setting.pipeline, setting.hosting.dropped
    left = config.nodes - len(dropped)
    aggregate = Aggregate(problem.layout.dimension, config.dtype, left, pipeline.integrates, pipeline.combine)
    stops = config.on_divergence == "stop"
    method = Method(config.momentum, config.step_size, config.iterations, config.nodes, stops, dropped)
    return Server(
        method, problem, ranks.star(host, setting.hosting, setting.capacity, signals, patience), setting.downlink(),
        aggregate, ledger, setting.errands(), saver, lambda: signals.arrived,
        tuple(metric.name for metric in setting.schema.reported), tell, setting.diagnosis(),
    )  # fmt: skip
