import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pmom_mpi.kernels import select

FLOATS = [np.float32, np.float64]


def kept(vector, k):
    indices = np.full(vector.size, 7, np.uint32)
    values = np.empty_like(vector)
    work = np.empty(vector.size, f"u{vector.itemsize}")
    count = select.select_largest(vector, k, indices, values, work)
    assert values[:count].tobytes() == vector[indices[:count]].tobytes()
    return indices[:count]


def expected(vector, k):
    magnitudes = np.where(np.isnan(vector), np.inf, np.abs(vector))
    return np.flatnonzero((magnitudes >= np.sort(magnitudes)[-k]) & (magnitudes > 0))


def check(vector, k):
    np.testing.assert_array_equal(kept(vector, k), expected(vector, k))


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_every_small_vector(dtype, data):
    entries = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, np.inf, 1e-40, 1e-42]) | st.floats(
        width=8 * np.dtype(dtype).itemsize, allow_nan=False
    )
    vector = data.draw(hnp.arrays(dtype, st.integers(1, 70), elements=entries))
    check(vector, data.draw(st.integers(1, vector.size)))


def long_vectors():
    rng = np.random.default_rng(1)
    size = 60_013
    smooth = rng.standard_normal(size)
    yield "normal", smooth
    yield "heavy tails", np.exp(4 * smooth) * rng.choice([-1, 1], size)
    yield "mostly zero", np.where(rng.random(size) < 0.999, 0, smooth)
    yield "all zero", np.zeros(size)
    yield "all equal", np.ones(size)
    yield "few values", rng.integers(-3, 4, size).astype(float)
    yield "sorted", np.sort(smooth)
    yield "denormal", smooth * 1e-41
    yield "one large", np.where(np.arange(size) == 31, 1e9, 0)
    periodic = smooth.copy()
    periodic[::512] *= 1e6
    yield "a large column", periodic


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "vector"), list(long_vectors()))
def test_long_vectors_where_a_sample_brackets_the_threshold(name, vector, dtype):
    vector = vector.astype(dtype)
    for k in (1, 2, 60, 600, 6001, 30_000, vector.size - 1, vector.size):
        check(vector, k)


@pytest.mark.parametrize("where", ["sample", "rest"])
@pytest.mark.parametrize("k", [100, 3000])
def test_a_sample_that_misleads_costs_time_only(where, k):
    size = 200_000
    marks = np.arange(size, dtype=np.uint32)
    sampled = np.empty(select.sample_size(size), np.uint32)
    select.draw_sample(marks, np.uint64(0), sampled)
    vector = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    vector[sampled] *= 1e6 if where == "sample" else 1e-6
    check(vector, k)


def test_a_sample_above_which_exactly_k_entries_lie():
    size, k = 200_000, 20_000
    marks = np.arange(size, dtype=np.uint32)
    sampled = np.empty(select.sample_size(size), np.uint32)
    select.draw_sample(marks, np.uint64(0), sampled)
    vector = np.full(size, 0.5, np.float32)
    vector[sampled] = 1
    vector[np.setdiff1d(marks, sampled)[:k]] = 2 + 1e-4 * np.arange(k)
    check(vector, k)


def test_nan_is_among_the_largest_whatever_its_sign():
    vector = np.array([1, np.nan, np.inf, -np.nan, 3], np.float32)
    assert kept(vector, 2).tolist() == [1, 3]
    assert kept(vector, 3).tolist() == [1, 2, 3]


@given(hnp.arrays(np.float32, st.integers(0, 70), elements=st.floats(-3, 3, width=32)), st.floats(0.001, 3))
def test_at_least(vector, tau):
    indices, values = np.empty(vector.size, np.uint32), np.empty_like(vector)
    count = select.select_at_least(vector, tau, indices, values)
    np.testing.assert_array_equal(indices[:count], np.flatnonzero(np.abs(vector.astype(float)) >= tau))
    np.testing.assert_array_equal(values[:count], vector[indices[:count]])


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=50), st.data())
def test_kth_largest(numbers, data):
    k = data.draw(st.integers(1, len(numbers)))
    for dtype in (np.uint32, np.uint64):
        assert select.kth_largest(np.array(numbers, dtype), k) == sorted(numbers, reverse=True)[k - 1]


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (5, 6), (2**30, 2**30 + 2**11), (2**30, 2**30 + 2**12), (0, 2**31)])
def test_kth_largest_of_numbers_that_span_any_number_of_digits(low, high, dtype):
    numbers = np.random.default_rng(2).integers(low, high, 5000).astype(dtype)
    for k in (1, 2, 17, 4999, 5000):
        assert select.kth_largest(numbers.copy(), k) == np.sort(numbers)[-k]
