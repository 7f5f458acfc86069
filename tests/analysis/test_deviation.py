"""A mean and its deviation end with the same digit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pmom_mpi.analysis.deviation import mean_and_deviation

VALUES = st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=2, max_size=6)


@given(VALUES)
def test_mean_and_deviation_are_what_they_are_and_end_with_the_same_digit(values):
    mean, deviation = np.mean(values), np.std(values, ddof=1)
    assume(max(abs(mean), deviation) > 1e-200)
    text, _, exponent = mean_and_deviation(values).removeprefix("(").partition(")")
    shown = text.split(" ± ")
    assert len({len(number.partition(".")[2]) for number in shown}) == 1
    scale = 10.0 ** int(exponent.removeprefix("e") or 0)
    half = 0.5 * 10.0 ** -len(shown[0].partition(".")[2])
    assert [scale * float(number) for number in shown] == pytest.approx([mean, deviation], abs=1.001 * half * scale)
    assert len(shown[0].strip("-").replace(".", "").lstrip("0")) <= 7
