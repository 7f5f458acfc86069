"""Shards: every sample at most once, every node at least one, the same for every rank."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.data import DataSpec, divide, heterogeneity
from pmom_mpi.words.errors import UserError

KINDS = ["contiguous", "iid", {"kind": "label", "classes": 1}, {"kind": "label", "classes": 2}, "dirichlet",
         {"kind": "dirichlet", "a": 1e-6}, {"kind": "dirichlet", "a": 100},
         *({"kind": "dirichlet", "a": a, "over": "labels"} for a in (1e-6, 1, 1e4))]  # fmt: skip


@given(
    targets=st.lists(st.integers(0, 9), min_size=1, max_size=200),
    share=st.floats(0, 1),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**63),
)
def test_shards_are_a_division(targets, share, kind, seed):
    targets = np.array(targets, np.uint8)
    blocks = kind["classes"] if isinstance(kind, dict) and "classes" in kind else 1
    nodes = max(1, int(share * len(targets)) // blocks)
    if nodes * blocks > len(targets):
        nodes, kind = 1, "iid"
    shards = divide(DataSpec("any", nodes, kind), targets, seed)
    assert len(shards) == nodes
    assert all(len(rows) and rows.dtype == np.int64 and (np.diff(rows) > 0).all() for rows in shards)
    assert np.array_equal(np.sort(np.concatenate(shards)), np.arange(len(targets)))
    again = divide(DataSpec("any", nodes, kind), targets, seed)
    assert all(np.array_equal(one, other) for one, other in zip(shards, again, strict=True))


def test_contiguous_is_that_of_the_published_runs():
    shards = divide(DataSpec("any", 100), np.zeros(60000, np.uint8), 0)
    assert all(np.array_equal(rows, np.arange(600 * node, 600 * (node + 1))) for node, rows in enumerate(shards))


def test_remainder_goes_to_the_first_nodes():
    assert [len(rows) for rows in divide(DataSpec("any", 4), np.zeros(14, np.uint8), 0)] == [4, 4, 3, 3]


@pytest.mark.parametrize("kind", ["iid", "label", "dirichlet"])
def test_seed_decides(kind):
    targets = np.arange(300) % 10
    one, other = (divide(DataSpec("any", 5, kind), targets, seed) for seed in (0, 1))
    assert not np.array_equal(np.concatenate(one), np.concatenate(other))


def test_label_gives_few_classes():
    targets = np.random.default_rng(0).permutation(np.arange(1000) % 10)
    shards = divide(DataSpec("any", 20, {"kind": "label", "classes": 2}), targets, 0)
    assert all(len(np.unique(targets[rows])) <= 2 for rows in shards)


def test_dirichlet_is_less_alike_with_smaller_a():
    targets = np.random.default_rng(0).integers(0, 10, 20000)
    distances = [
        heterogeneity(targets, divide(DataSpec("any", 50, {"kind": "dirichlet", "a": a}), targets, 0), 10)
        for a in (0.01, 0.5, 10)
    ]
    far, middle, near = (found["label_distance"] for found in distances)
    assert far > 0.7 > 0.5 > middle > 0.25 > near


def test_dirichlet_over_labels_gives_equal_shards_each_its_own_mix():
    """Hsu, Qi, Brown 2019. The mixes' variance is that of Dirichlet(a p) as long as no label runs out."""
    targets = np.random.default_rng(0).integers(0, 10, 60_000)

    def shards(a):
        return divide(DataSpec("any", 40, {"kind": "dirichlet", "a": a, "over": "labels"}), targets, 0)

    assert {len(rows) for rows in shards(0.1)} == {1500}
    early = np.array([np.bincount(targets[rows], minlength=10) / 1500 for rows in shards(20.0)[:20]])
    assert np.var(early) == pytest.approx(0.1 * 0.9 / (20 + 1), rel=0.25)
    far, near = (heterogeneity(targets, shards(a), 10)["label_distance"] for a in (0.1, 100.0))
    assert far > 0.5 > 0.15 > near


def test_heterogeneity_by_hand():
    targets = np.array([0, 0, 1, 1, 0, 1])
    found = heterogeneity(targets, [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])], 2)
    # Half of all labels are 0: two nodes are off by 1/2, the third not at all.
    assert found == {"smallest_shard": 2, "largest_shard": 2, "label_distance": pytest.approx(1 / 3)}
    assert set(heterogeneity(targets.astype(float), [np.arange(4), np.arange(4, 6)], None)) == {
        "smallest_shard", "largest_shard",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "kind", "line"),
    [
        (13, "contiguous", "13 nodes are more than the 12 training samples"),
        (7, {"kind": "label", "classes": 2}, "need 14 samples, there are 12"),
        (2, {"kind": "label", "classes": 0}, "data.partition.classes"),
        (2, {"kind": "dirichlet", "a": 0}, "data.partition.a"),
        (2, "dirichlett", "did you mean 'dirichlet'"),
        (2, {"kind": "iid", "a": 1}, "data.partition.a: unknown key"),
    ],
)
def test_what_cannot_be_divided(nodes, kind, line):
    with pytest.raises(UserError, match=line):
        divide(DataSpec("any", nodes, kind), np.arange(12) % 3, 0)


@pytest.mark.parametrize("kind", ["label", "dirichlet"])
def test_real_targets_have_no_labels(kind):
    with pytest.raises(UserError, match="these targets are real; use iid"):
        divide(DataSpec("any", 2, kind), np.linspace(0, 1, 12), 0)
