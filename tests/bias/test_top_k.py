import numpy as np
import pytest
from compressor_cases import FLOATS, sent, squared, step_for, vectors
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.bias.none import Identity
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


def published(vector, k):
    """As in the published code: a mask of all that reach the K-th largest magnitude."""
    return np.where(np.abs(vector) >= np.sort(np.abs(vector))[-k], vector, 0)


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_equals_the_published_vector_contracts_and_is_idempotent(dtype, data):
    vector = data.draw(vectors(dtype))
    k = data.draw(st.integers(1, vector.size))
    found = sent(TopK(k=k), vector)
    np.testing.assert_array_equal(found, published(vector, k))
    alpha = TopK(k=k).theory(Layout.flat(vector.size)).alpha
    assert squared(found - vector) <= (1 - alpha) * squared(vector) * (1 + 1e-12)
    np.testing.assert_array_equal(sent(TopK(k=k), found.astype(dtype)), found)


@given(vectors(np.float32, st.just(30)), st.integers(1, 12))
def test_layer_by_layer(vector, k):
    layout = Layout(("w", "nothing", "b", "x"), ((4, 5), (0,), (3,), (7,)))
    found = sent(TopK(k=k, scope="layer"), vector, step_for(vector, layout))
    parts = [vector[:20], vector[20:23], vector[23:]]
    np.testing.assert_array_equal(found, np.concatenate([published(p, min(k, p.size)) for p in parts]))
    assert TopK(k=k, scope="layer").theory(layout).alpha == pytest.approx(min(k / 20, 1.0))


def test_ties_all_stay_and_are_counted():
    message, kept = TopK(k=2).compress(np.array([1, -1, 1, 0.5], np.float32), step_for(np.zeros(4)))
    assert message.support.indices.tolist() == [0, 1, 2]
    assert kept == (3.0,)


def test_zeros_are_not_sent():
    message, kept = TopK(k=3).compress(np.array([0, -2, 0, -0.0], np.float32), step_for(np.zeros(4)))
    assert message.support.indices.tolist() == [1]
    assert kept == (1.0,)


def test_nan_reaches_the_server():
    found = sent(TopK(k=1), np.array([np.inf, np.nan, 3], np.float32))
    assert np.isnan(found[1])


def test_fraction_is_the_decimal_it_is_written_as():
    assert TopK(fraction=0.07).count(100) == 7
    assert TopK(fraction=0.1).count(31) == 4
    assert TopK(fraction=0.01).count(669_706) == 6698
    assert TopK(fraction=1.0).count(7) == 7


def test_k_equal_to_d_sends_everything():
    vector = np.arange(1, 6, dtype=np.float32)
    np.testing.assert_array_equal(sent(TopK(k=5), vector), vector)
    np.testing.assert_array_equal(sent(TopK(k=1), vector[:1]), vector[:1])


def test_k_above_d_is_the_users_error():
    with pytest.raises(UserError, match=r"^bias\[0\]\.k: 6 is more than d = 5"):
        TopK(k=6).check((), Layout.flat(5), "bias[0]")


@pytest.mark.parametrize("bad", [{}, {"k": 1, "fraction": 0.5}, {"k": 0}, {"fraction": 0}, {"fraction": 1.5}])
def test_exactly_one_sensible_k_or_fraction(bad):
    with pytest.raises(UserError, match=r"bias\[0\]"):
        registry.build(registry.BIAS, "bias[0]", {"kind": "top_k", **bad})


def test_none_changes_nothing():
    vector = np.array([1, -2], np.float32)
    assert Identity().apply(vector, step_for(vector)) == ()
    assert vector.tolist() == [1, -2]
