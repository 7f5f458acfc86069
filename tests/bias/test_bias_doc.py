"""docs/bias.md names every operator, and its numbers are those that are measured today."""

import re
from pathlib import Path

import numpy as np
import pytest

from pmom_mpi.measure.bias import measure
from pmom_mpi.words import registry

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "bias.md").read_text()


def without_tau(label):
    return re.sub(r" tau \S+", "", label)


@pytest.fixture(scope="module")
def rows():
    """The cells of the first table, by operator."""
    lines = [line for line in DOC.splitlines() if line.startswith("| `") and line.count("|") == 9]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_the_table_is_what_is_measured(rows):
    found = measure(ROOT / "configs" / "operators.yaml", everything=True, nodes=3)
    assert {without_tau(row.label) for row in found} == set(rows)
    for row in found:
        formula, kind, known, error, theory, measured, _ = rows[without_tau(row.label)]
        assert formula and kind == row.kind
        name, _, value = row.known.partition(" ")
        assert known.startswith(name) and (known.endswith(value) or "2^" in known)
        assert float(error) == pytest.approx(np.mean(row.errors), rel=0.03, abs=1e-9)
        assert float(theory) == pytest.approx(np.mean(row.theory_bits), rel=0.02)
        assert float(measured) == pytest.approx(np.mean(row.bits), rel=0.02)
        if kind == "contractive" and value and " - " not in value:
            assert np.max(row.errors) <= 1 - float(value)
        if kind == "unbiased":
            assert np.mean(row.errors) <= 1.1 * float(value)
            assert np.mean(row.biases) <= 1.2 * np.mean(row.noises)


@pytest.mark.parametrize("table", [registry.BIAS, registry.MOMENTUM, registry.SCHEDULES])
def test_every_kind_is_named(table):
    named = set(re.findall(r"`(\w+)[^`]*`", DOC))
    assert set(table) <= named
