"""All that an iteration calls, called once before the first: kernels are compiled or loaded then, and timed apart."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from pmom_mpi.kernels.norms import norm
from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.method.worker import Worker
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.runtime.together import agree
from pmom_mpi.transport.base import Ranks
from pmom_mpi.wire import codec


def warm_up(ranks: Ranks, setting: Setting, host: Worker) -> float:
    """Go once through a node's work on every worker and through the server's; all ranks call this alike.

    Nothing is left behind: draws are keyed, memories are forgotten, the server's steps are made on copies.

    Returns
    -------
    float
        The seconds that it took, until all ranks were ready.
    """
    began = perf_counter()
    payload = agree(ranks, lambda: None if ranks.worker is None else _work(setting, host, ranks.worker))
    sent = next(told for told in ranks.gather(payload if ranks.worker == 0 else None) if told is not None)
    agree(ranks, lambda: _serve(setting, sent) if ranks.serves else None)
    return perf_counter() - began


def _work(setting: Setting, host: Worker, worker: int) -> np.ndarray:
    """The first hosted node's payload at x^0, and the evaluation of the first hosted chunk."""
    x, out = setting.problem.initial_point(), np.empty(setting.capacity, np.uint8)
    payload = out[: host.payload(x, setting.hosting.nodes_of(worker)[0], 0, out)].copy()
    for errand in setting.errands():
        if errand.due(setting.config.iterations):
            errand.work(x, setting.hosting.chunks_of(worker)[:1], host.report)
    setting.pipeline.forget()
    return payload


def _serve(setting: Setting, payload: np.ndarray) -> None:
    """A broadcast, an average of one payload, and a step."""
    config, pipeline = setting.config, setting.pipeline
    x, way = setting.problem.initial_point(), setting.downlink()
    way.unpack(way.pack(x, 0))
    way.lag(x)
    aggregate = Aggregate(x.size, x.dtype, config.nodes, pipeline.integrates, pipeline.combine)
    aggregate.begin()
    aggregate.add(payload)
    g = aggregate.finish()
    norm(g)
    config.momentum.step(x, g, config.momentum.init(x.size, x.dtype), config.step_size(0, config.iterations), 0)
    codec.add(payload, np.zeros(x.size))  # what remembers in float64 adds so
