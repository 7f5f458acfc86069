"""Which rows a node uses: all of them once an epoch, in an order that depends on nothing but its arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.data import Batch
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import construct

ORDERS = ["reshuffle", "shuffle_once", "cyclic", "replacement"]


def drawn(batch, samples, seed, node, iterations):
    """The rows of these iterations, one after the other."""
    everything = np.arange(samples)
    return [everything[batch.rows(samples, seed, node, k)] for k in iterations]


@given(
    samples=st.integers(1, 60),
    share=st.floats(0.01, 1),
    order=st.sampled_from(ORDERS[:3]),
    seed=st.integers(0, 2**63),
    node=st.integers(0, 10**6),
    epoch=st.integers(0, 10**6),
)
def test_an_epoch_uses_every_sample_once(samples, share, order, seed, node, epoch):
    size = max(1, int(share * samples))
    batches = -(-samples // size)
    rows = drawn(Batch(size, order), samples, seed, node, range(epoch * batches, (epoch + 1) * batches))
    assert [len(batch) for batch in rows[:-1]] == [size] * (batches - 1)
    assert 1 <= len(rows[-1]) <= size
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(samples))


@pytest.mark.parametrize("order", ORDERS[:3])
def test_nodes_of_different_sizes_have_epochs_of_their_own(order):
    """One Batch serves all nodes of a rank; in 12 iterations 9 samples are seen 4 times, 12 samples 3 times."""
    batch, sizes, seen = Batch(3, order), {0: 9, 1: 12}, {0: [], 1: []}
    for k in range(12):
        for node, samples in sizes.items():
            seen[node] += drawn(batch, samples, 5, node, [k])[0].tolist()
    assert np.bincount(seen[0]).tolist() == [4] * 9 and np.bincount(seen[1]).tolist() == [3] * 12


@given(order=st.sampled_from(ORDERS), visits=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=20))
def test_the_past_does_not_matter(order, visits):
    """Hosting other nodes, resuming in the middle, going back: each draw is that of a Batch that never drew before."""
    used = Batch(3, order)
    for node, iteration in visits:
        fresh = drawn(Batch(3, order), 8, 5, node, [iteration])[0]
        assert np.array_equal(drawn(used, 8, 5, node, [iteration])[0], fresh)


@pytest.mark.parametrize("order", ["reshuffle", "shuffle_once", "replacement"])
def test_nodes_and_seeds_have_their_own_streams(order):
    rows = [drawn(Batch(20, order), 200, seed, node, [0])[0] for seed, node in ((0, 0), (0, 1), (1, 0))]
    assert not any(np.array_equal(rows[i], rows[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_epochs_repeat_only_where_they_should():
    def epoch(order, number):
        return np.concatenate(drawn(Batch(10, order), 40, 0, 0, range(4 * number, 4 * number + 4)))

    assert not np.array_equal(epoch("reshuffle", 0), epoch("reshuffle", 1))
    assert np.array_equal(epoch("shuffle_once", 0), epoch("shuffle_once", 7))
    assert np.array_equal(epoch("shuffle_once", 0), epoch("reshuffle", 0))
    assert np.array_equal(epoch("cyclic", 3), np.arange(40))


def test_replacement_is_uniform_and_repeats():
    counts = np.bincount(np.concatenate(drawn(Batch(50, "replacement"), 10, 0, 0, range(400))), minlength=10)
    assert counts.sum() == 20000
    # Multinomial: the standard deviation of a count is sqrt(20000 * 0.1 * 0.9) = 42.4.
    assert np.abs(counts - 2000).max() < 5 * 42.4


@pytest.mark.parametrize("order", ORDERS)
def test_full_is_a_slice(order):
    assert Batch(order=order).rows(7, 0, 3, 11) == slice(0, 7)


def test_cyclic_is_a_slice():
    assert [Batch(3, "cyclic").rows(7, 0, 0, k) for k in range(4)] == [
        slice(0, 3),
        slice(3, 6),
        slice(6, 7),
        slice(0, 3),
    ]


def test_permutation_is_made_once_an_epoch():
    batch = Batch(2)
    first, second = batch.rows(8, 0, 0, 0), batch.rows(8, 0, 0, 1)
    assert first.base is second.base is not batch.rows(8, 0, 0, 4).base


def test_batches_must_fit_the_smallest_shard():
    Batch(5).check([5, 9])
    Batch("full").check([1])
    with pytest.raises(UserError, match="gradient.batch: 6 is more than the 5 samples of the smallest shard"):
        Batch(6).check([5, 9])


def test_as_a_config_section():
    assert construct(Batch, "gradient", {"size": 64, "order": "cyclic"}) == Batch(64, "cyclic")
    for wrong in ({"size": 0}, {"size": "half"}, {"order": "sorted"}):
        with pytest.raises(UserError, match="gradient"):
            construct(Batch, "gradient", wrong)
