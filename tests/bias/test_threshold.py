import numpy as np
import pytest
from compressor_cases import FLOATS, sent, step_for, vectors
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.bias.threshold import AdaptiveThreshold, Threshold
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_keeps_what_reaches_tau(dtype, data):
    vector = data.draw(vectors(dtype))
    tau = data.draw(st.floats(1e-3, 10) | st.sampled_from([0.5, 1.0, 2.0]))
    expected = np.where(np.abs(vector.astype(float)) >= tau, vector, 0)
    np.testing.assert_array_equal(sent(Threshold(tau=tau), vector), expected)


def test_keeps_nan_and_counts():
    vector = np.array([1, np.nan, -3, 0.1], np.float32)
    message, kept = Threshold(tau=0.5).compress(vector, step_for(vector))
    assert message.support.indices.tolist() == [0, 1, 2]
    assert kept == (3.0,)


@pytest.mark.parametrize("tau", [0, -1, float("nan"), float("inf")])
def test_tau_is_positive_and_finite(tau):
    with pytest.raises(UserError, match="tau"):
        registry.build({"threshold": "pmom_mpi.bias.threshold:Threshold"}, "bias[0]", {"kind": "threshold", "tau": tau})


@given(vectors(np.float32), st.integers(1, 300))
def test_a_sample_of_everything_is_top_k(vector, k):
    k = min(k, vector.size)
    np.testing.assert_array_equal(sent(AdaptiveThreshold(k=k), vector), sent(TopK(k=k), vector))


@pytest.mark.parametrize("fraction", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("shape", ["normal", "heavy", "columns"])
def test_keeps_about_k(fraction, shape):
    rng = np.random.default_rng(0)
    vector = rng.standard_normal(400_000)
    if shape == "heavy":
        vector *= np.exp(3 * rng.standard_normal(vector.size))
    if shape == "columns":
        vector *= np.exp(np.arange(vector.size) % 512 / 50)
    vector = vector.astype(np.float32)
    kept = [
        AdaptiveThreshold(fraction=fraction).compress(vector, step_for(vector, iteration=i))[1][0] for i in range(20)
    ]
    ratio = np.array(kept) / (fraction * vector.size)
    deviation = 1 / np.sqrt(fraction * 16384)
    assert np.abs(ratio - 1).max() < 4 * deviation
    assert ratio.std() < 1.5 * deviation
    largest = np.sort(np.abs(vector))[-int(kept[-1])]
    found = sent(AdaptiveThreshold(fraction=fraction), vector, step_for(vector, iteration=19))
    assert np.abs(found[found != 0]).min() == largest
