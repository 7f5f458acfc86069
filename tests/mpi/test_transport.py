"""The star over real MPI jobs: order, pieces, counts; and the helpers it waits and divides with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.transport.placement import oversubscribed, own_core
from pmom_mpi.transport.waiting import Waiter
from pmom_mpi.words.nodes import block, turns

SCRIPT = str(Path(__file__).with_name("star_script.py"))


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_every_byte_arrives_in_turn(mpirun, ranks):
    done = mpirun(ranks, [sys.executable, SCRIPT, "9", "20", "64", str(1 << 30)], module=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("every byte arrived") == 2


@given(total=st.integers(0, 500), parts=st.integers(1, 60))
def test_blocks_are_contiguous_and_nearly_equal(total, parts):
    blocks = [block(total, parts, part) for part in range(parts)]
    assert [i for b in blocks for i in b] == list(range(total))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


@given(total=st.integers(1, 500), parts=st.integers(1, 20))
def test_blocks_that_take_turns_come_forward_side_by_side(total, parts):
    order = turns(total)
    assert sorted(order) == list(range(total))
    queues = [turns(total, block(total, parts, part)) for part in range(parts)]
    assert all(queue == [node for node in order if node in set(queue)] for queue in queues)
    arrived, added = set(), 0
    for step in range(max(map(len, queues))):
        arrived.update(queue[step] for queue in queues if step < len(queue))
        while added < total and order[added] in arrived:
            added += 1
        assert len(arrived) - added <= parts * total.bit_length()


def test_a_wait_notices_what_happens_between_looks():
    looks = iter([None] * 50 + ["there"])
    noticed = []
    assert Waiter(polite=False, between=lambda: noticed.append(1)).until(lambda: next(looks)) == "there"
    assert noticed


def test_more_ranks_than_cores_is_oversubscribed():
    assert oversubscribed([frozenset({0, 1})] * 3)
    assert not oversubscribed([frozenset({0}), frozenset({1})])


def test_each_worker_has_a_core_of_its_own_where_they_are_as_many():
    masks = [frozenset({4, 7})] * 3
    assert [own_core(masks, worker) for worker in (1, 2)] == [{4}, {7}]
    assert own_core(masks[:2], 1) == {4, 7}, "a core is left for the server"
    assert own_core([frozenset({4, 7})] * 4, 1) == {4, 7}, "three workers share two cores best unbound"
    bound = [frozenset({4, 7}), frozenset({4}), frozenset({4, 7})]
    assert own_core(bound, 2) == {4, 7}, "the launcher has bound ranks itself"
