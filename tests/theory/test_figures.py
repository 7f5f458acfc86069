"""The lecturer's figures, shrunk: measured floors are within what theory promises for them, and not far below."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import special_cases
import theory_figures


def test_floors_of_compression_and_clipping_are_within_20_times_of_the_pl_bound():
    for row, _, _ in theory_figures.decays(250, tight=False):
        assert row.measured <= row.bound <= 20 * row.measured, row


def test_the_floor_of_composite_gradients_falls_faster_than_the_samples_rise():
    few, many = theory_figures.composite(400, (2, 8))
    for row in (few, many):
        assert row.measured <= 1.5 * row.bound and row.bound <= 20 * row.measured, row  # C is estimated from draws
    assert many.measured < few.measured / 6


@pytest.mark.parametrize("batches", [True, False])
def test_floors_are_within_20_times_of_the_bounds_for_each_beta(batches):
    for row in theory_figures.against_beta(60, (1.0, 0.5), batches, tight=False):
        assert row.measured <= row.bound <= 20 * row.measured, row


def test_special_cases_constants_are_above_what_runs_measure():
    """`row` asserts that at every diagnosed iterate; of a bandit's cut horizon nothing is lost."""
    assert float(special_cases.maml(40, 20, 200)[3]) < 40
    whole, apart = special_cases.cut()
    assert float(whole[3]) > 1000 and apart[3:] == ("1", "1")
