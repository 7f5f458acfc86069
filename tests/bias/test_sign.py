import numpy as np
import pytest
from compressor_cases import sent, squared, step_for, vectors
from hypothesis import given

from pmom_mpi.bias.sign import ScaledSign, SignMajority
from pmom_mpi.wire.codec import bits
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.words.layout import Layout


@given(vectors(np.float32))
def test_error_is_exactly_the_formula(vector):
    found = sent(ScaledSign(), vector)
    scale = np.abs(vector.astype(float)).mean()
    np.testing.assert_allclose(found, np.where(vector < 0, -scale, scale), rtol=1e-6, atol=1e-45)
    expected = squared(vector) - vector.size * scale**2
    assert squared(found - vector) == pytest.approx(expected, rel=1e-5, abs=1e-5 * squared(vector) + 1e-40)


def test_each_layer_has_its_own_scale():
    layout = Layout(("w", "nothing", "b"), ((2, 2), (0,), (3,)))
    vector = np.array([1, -3, 1, 3, 10, -20, 30], np.float32)
    found = sent(ScaledSign(scope="layer"), vector, step_for(vector, layout))
    assert found.tolist() == [2, -2, 2, 2, 20, -20, 20]


@pytest.mark.parametrize("compressor", [ScaledSign(), SignMajority()])
def test_one_bit_a_coordinate(compressor):
    vector = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    values, _ = compressor.quantize(vector, step_for(vector))
    assert bits(Message(vector.size, Everything(), values)) <= 1.01 * vector.size


def test_the_majority_decides():
    votes = np.array([[1, 0.1, -3, 5], [-2, 7, -0.5, 5], [3, -9, -9, np.nan]], np.float32)
    mean = np.mean([sent(SignMajority(), vote) for vote in votes[:2]], axis=0)
    SignMajority().combine(mean)
    assert mean.tolist() == [0, 1, -1, 1]
    three = np.sum([sent(SignMajority(), vote[:3]) for vote in votes], axis=0)
    SignMajority().combine(three)
    assert three.tolist() == [1, 1, -1]
    assert np.isnan(sent(SignMajority(), votes[2])).all()
