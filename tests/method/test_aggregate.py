"""The mean of payloads, and that it never drifts from what the nodes remember."""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.bias.feedback import EF21, EF21SGDM
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.bias.sign import ScaledSign, SignMajority
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.wire import codec
from pmom_mpi.words.layout import Layout

DIMENSION, NODES = 16, 3


def exchange(pipeline, aggregate, gradients, iteration):
    """What the server makes of the nodes' gradients."""
    payload = np.empty(pipeline.max_bytes(), np.uint8)
    aggregate.begin()
    for node, gradient in enumerate(gradients):
        message, _ = pipeline.apply(gradient.copy(), node, iteration)
        aggregate.add(payload[: codec.encode(message, payload)])
    return aggregate.finish()


@pytest.mark.parametrize("feedback", [EF21(), EF21SGDM(beta=0.5)])
@pytest.mark.parametrize("compressor", [ScaledSign(), TopK(k=2)])
def test_the_average_stays_the_mean_of_the_nodes_memories(feedback, compressor):
    rng = np.random.default_rng(0)
    pipeline = Pipeline([feedback, compressor], Layout.flat(DIMENSION), np.float32)
    aggregate = Aggregate(DIMENSION, np.float32, NODES, pipeline.integrates, pipeline.combine)
    gradients = rng.standard_normal((NODES, DIMENSION)).astype(np.float32)
    for k in range(5000):
        gradients += 0.01 * rng.standard_normal(gradients.shape).astype(np.float32)
        g = exchange(pipeline, aggregate, gradients, k)
    place = 0
    mean = np.mean([pipeline.save(node)[f"{place}.h"] for node in range(NODES)], axis=0)
    np.testing.assert_allclose(aggregate.memory["average"], mean, rtol=0, atol=2e-6)
    np.testing.assert_allclose(g, mean, rtol=0, atol=3e-6)


def test_a_majority_is_the_sign_of_the_mean():
    pipeline = Pipeline([SignMajority()], Layout.flat(2), np.float64)
    aggregate = Aggregate(2, np.float64, 3, pipeline.integrates, pipeline.combine)
    votes = np.array([[1.0, -2.0], [-3.0, -1.0], [0.5, 4.0]])
    assert exchange(pipeline, aggregate, votes, 0).tolist() == [1.0, -1.0]
