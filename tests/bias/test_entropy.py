"""The bits of real gradients: an MLP's on real digits, at x^0 and after some training."""

import numpy as np
import pytest

from pmom_mpi.bias.base import Step
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.bias.sign import ScaledSign
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.measure.bits import log2_binomial
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime import setting as preparation
from pmom_mpi.wire.codec import bits, encode, max_bytes, sections

CONFIG = {
    "name": "entropy", "iterations": 20, "step_size": 0.5, "problem": {"kind": "mlp", "hidden": [512, 512]},
    "data": {"name": "digits", "nodes": 10}, "evaluate": {"every": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def gradients(tmp_path_factory):
    """The layout, and gradients of two nodes at x^0 and x^20."""
    x = experiment.run(CONFIG, output=tmp_path_factory.mktemp("entropy") / "run.h5").x
    problem = preparation.ready(CONFIG).problem
    found = []
    for point in (problem.initial_point(), x):
        for node in (0, 7):
            found.append(np.empty_like(x))
            problem.gradient(point, node, 0, found[-1])
    return problem.layout, found


@pytest.mark.parametrize("fraction", [0.001, 0.01, 0.1])
def test_index_bits_are_within_5_percent_of_the_entropy_bound(gradients, fraction):
    layout, vectors = gradients
    out = np.empty(max_bytes(layout.dimension, np.float32), np.uint8)
    for vector in vectors:
        message, _ = TopK(fraction=fraction).compress(vector, Step(0, 0, 0, layout))
        spent = sections(out[: encode(message, out)])
        assert spent["index_bits"] <= 1.05 * log2_binomial(layout.dimension, message.values.count)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_scaled_sign_is_a_bit_a_coordinate(gradients, scope):
    layout, vectors = gradients
    message, _ = Pipeline([ScaledSign(scope=scope)], layout, np.float32).apply(vectors[0].copy(), 0, 0)
    assert 1 <= bits(message) / layout.dimension <= 1.01
