"""Step sizes over a whole run."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.method.schedules import Constant, Cosine, InverseSqrt, Linear, Step
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError

TOTAL = 40
KINDS = [Constant(0.5), Step(0.5, every=7), Linear(0.5, final=0.1), Cosine(0.5, final=0.1), InverseSqrt(0.5, scale=4)]


@pytest.mark.parametrize("schedule", KINDS)
def test_begins_with_the_value_and_never_grows(schedule):
    sizes = [schedule(k, TOTAL) for k in range(TOTAL)]
    assert sizes[0] == 0.5
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 0


@pytest.mark.parametrize("schedule", KINDS)
@given(warm_up=st.integers(1, 2 * TOTAL))
def test_warm_up_grows_linearly_and_then_the_schedule_begins(schedule, warm_up):
    parameters = vars(schedule) | {"warm_up": warm_up}
    warm = type(schedule)(**parameters)
    sizes = [warm(k, warm_up + TOTAL) for k in range(warm_up + TOTAL)]
    assert sizes[:warm_up] == [0.5 * (k + 1) / warm_up for k in range(warm_up)]
    assert sizes[warm_up:] == [schedule(k, TOTAL) for k in range(TOTAL)]


def test_a_run_that_ends_within_the_warm_up():
    assert Cosine(1.0, warm_up=10)(4, 5) == 0.5


def test_formulas():
    assert Step(1.0, every=3, factor=0.5)(8, TOTAL) == 0.25
    assert Linear(1.0, final=0.2)(10, TOTAL) == pytest.approx(0.8)
    assert Cosine(1.0, final=0.2)(10, TOTAL) == pytest.approx(0.2 + 0.4 * (1 + math.sqrt(0.5)))
    assert InverseSqrt(1.0)(3, TOTAL) == 0.5


@pytest.mark.parametrize(
    "kind, parameters",
    [
        (Constant, {"value": 0}),
        (Constant, {"value": float("inf")}),
        (Constant, {"value": 1, "warm_up": -1}),
        (Step, {"value": 1, "every": 0}),
        (Step, {"value": 1, "every": 1, "factor": 0}),
        (Cosine, {"value": 1, "final": -1}),
        (InverseSqrt, {"value": 1, "scale": 0}),
    ],
)
def test_bad_values_are_refused_in_one_line(kind, parameters):
    with pytest.raises(UserError, match=r"^step_size\.[^\n]*$"):
        registry.construct(kind, "step_size", parameters)
