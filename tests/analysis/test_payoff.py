"""Whether compression pays: the arithmetic, and that a run's sentence is made of the run's own numbers."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.analysis import read
from pmom_mpi.analysis.payoff import Payoff, payoff, sentence
from pmom_mpi.cli import main
from pmom_mpi.runtime import experiment

SIZES = st.floats(1, 1e9)
SECONDS = st.floats(1e-6, 10)


@given(SIZES, SIZES, SECONDS, SECONDS, SECONDS, st.floats(1e3, 1e12))
def test_it_pays_exactly_below_the_break_even_speed(sent, dense, compress, encode, dense_computing, link):
    found = Payoff(sent, dense, {"compress": compress, "encode": encode}, dense_computing, link)
    slack = 1e-9 * (found.exchange + found.dense_exchange)
    if math.isfinite(found.break_even) and found.break_even > 0:
        at = Payoff(sent, dense, found.stations, dense_computing, found.break_even)
        assert at.gain == pytest.approx(0, abs=1e-6 * (at.exchange + at.dense_exchange))
        assert (found.gain >= -slack) if link < found.break_even else (found.gain <= slack)
    elif math.isinf(found.break_even):
        assert found.gain >= -slack
    else:
        assert sent >= dense


@given(SIZES, SIZES, SECONDS, SECONDS, SECONDS, st.floats(1e3, 1e12))
def test_what_is_printed_adds_up_as_it_is_printed(sent, dense, compress, encode, dense_computing, link):
    text = sentence(Payoff(sent, dense, {"compress": compress, "encode": encode}, dense_computing, link))
    computing, sending, together = (
        list(map(Decimal, re.findall(r"(\d+(?:\.\d+)?)(?= ms| \+| =)", line))) for line in text.splitlines()[2:5]
    )
    assert computing[0] + computing[1] == computing[2]
    assert [computing[2] + sending[0], computing[3] + sending[1]] == together[:2]
    cost = together[0] - together[1]
    assert together[2:] == ([abs(cost)] if cost else [])
    assert ("costs" in text, "saves" in text) == (cost > 0, cost < 0)


def test_a_run_without_compression_does_not_pay_and_says_that_there_was_no_link(tmp_path):
    raw = {
        "name": "dense", "iterations": 4, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [64]},
        "data": {"name": "digits", "nodes": 3}, "bias": [{"kind": "clip_norm", "tau": 1.0}],
    }  # fmt: skip
    experiment.run(raw, output=tmp_path / "dense.h5")
    run = read.load(tmp_path / "dense.h5")
    found = payoff(run)
    assert found.sent_bytes == run.metrics["uplink_bits"][1] / 8 == found.dense_bytes + 3 * 16
    assert "pays on no link" in sentence(found)
    assert "nothing was sent over a link" in sentence(found)


def test_run_says_it_where_asked_or_where_compression_does_not_pay(tmp_path):
    raw = {
        "iterations": 4, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [64]},
        "data": {"name": "digits", "nodes": 3}, "bias": [{"kind": "top_k", "fraction": 0.1}],
        "output": str(tmp_path / "run.h5"),
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(raw))

    def said(*words):
        done = CliRunner().invoke(main, ["run", str(tmp_path / "run.yaml"), "--overwrite", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert "pays on" not in said() and "does compression pay" not in said()
    assert "pays on" in said("--payoff") and "pays on" in said("--payoff", "-q")
    more = "bias={kind: qsgd, bucket: 1}"  # a norm a coordinate, and its level: 36 bits of 32
    assert "pays on no link" in said("-s", more)
    assert said("-s", more, "-q") == ""
