"""pmom check-problem finds what is wrong, says where, and leaves right problems alone."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.check.derivatives import _compare
from pmom_mpi.check.examination import check
from pmom_mpi.check.finding import BAD
from pmom_mpi.cli import main

HERE = Path(__file__).parent
BROKEN = {
    "WrongTensor": "finite differences, second",
    "ForgotTerm": "finite differences, first",
    "Adds": "gradient overwrites",
    "LeavesOut": "gradient",
    "ChangesX": "x after gradient",
    "EvaluateChangesX": "x after evaluate",
    "OwnRandomness": "same question twice",
    "Remembers": "other order of nodes",
    "KnowsItsRank": "on another rank",
    "Means": "evaluate's sums",
    "NoWeight": "evaluate",
    "ListOfMetrics": "metrics",
    "SamePoint": "x^0 again",
    "DoubleOnly": "x^0 in float32",
    "SingleLoss": "finite differences, first",
    "Raises": "evaluation",
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A function that writes a config with a problem of broken.py."""
    monkeypatch.syspath_prepend(str(HERE))

    def write(name, **changes):
        path = tmp_path / f"{name}.yaml"
        raw = {"iterations": 1, "step_size": 0.1, "nodes": 3, "problem": {"kind": f"broken:{name}"}} | changes
        path.write_text(yaml.safe_dump(raw))
        return str(path)

    return write


def bad(findings):
    return [finding.what for finding in findings if finding.state == BAD]


@pytest.mark.parametrize("name, what", BROKEN.items(), ids=BROKEN.keys())
def test_a_broken_promise_is_found(config, name, what):
    assert what in bad(check(config(name)))


def test_a_right_problem_passes(config):
    findings = check(config("Right"))
    assert not bad(findings)
    assert {"finite differences", "on another rank", "evaluate's sums"} <= {finding.what for finding in findings}


def test_the_wrong_tensor_alone_is_named(config):
    findings = check(config("WrongTensor"))
    assert "finite differences, first" not in bad(findings)
    (text,) = (finding.text for finding in findings if finding.what == "finite differences, second")
    assert "relative error 1.0e-04" in text


def test_exit_status_and_table(config):
    done = CliRunner().invoke(main, ["check-problem", config("Right")])
    assert done.exit_code == 0 and "finite differences" in done.output
    done = CliRunner().invoke(main, ["check-problem", config("Means")])
    assert done.exit_code == 1 and "sums, not means" in done.output
    done = CliRunner().invoke(main, ["check-problem", config("Right"), "-s", "nodes=0"])
    assert done.exit_code == 2 and "nodes" in done.output


def test_a_gradient_at_a_kink_is_between_the_slopes():
    assert _compare(lambda h: abs(h), 0.3, 1.0)[1] == "kink"
    assert "relative error" in _compare(lambda h: abs(h), 1.5, 1.5)[1]
    error, text = _compare(lambda h: abs(h + 1e-3), 1.0, 1.0)
    assert text == "" and error <= 1e-6


@given(st.floats(-14, -4).map(lambda power: 10**power), st.floats(1e-6, 1e-2), st.sampled_from([-1, 1]))
def test_a_small_kink_beside_x_is_no_wrong_gradient_and_excuses_none(place, size, side):
    """One sample's ReLU: the slope changes by little, anywhere beside x."""

    def f(h):
        return 2.31 + 0.25 * h + 0.01 * h * h + size * max(side * h - place, 0.0)

    assert _compare(f, 0.25, 0.4)[1] in ("", "kink")
    for wrong in (0.25 - side * (size + 2e-5), 0.25 + side * (2 * size + 2e-5)):
        assert "relative error" in _compare(f, wrong, 0.4)[1]


def test_estimates_are_not_held_against_the_derivative(config, monkeypatch):
    import broken

    monkeypatch.setattr(broken.WrongTensor, "differentiates", False, raising=False)
    findings = check(config("WrongTensor"))
    assert not bad(findings)
    assert any(finding.state == "note" and "estimate" in finding.text for finding in findings)


def test_built_in_problem(tmp_path):
    raw = {
        "iterations": 1, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [8]},
        "data": {"name": "digits", "nodes": 4}, "gradient": {"batch": 16},
    }  # fmt: skip
    (tmp_path / "mlp.yaml").write_text(yaml.safe_dump(raw))
    findings = check(tmp_path / "mlp.yaml")
    assert not bad(findings) and np.isin("finite differences", [finding.what for finding in findings])


def test_the_kinks_of_a_network_are_no_wrong_gradient():
    findings = check(HERE.parents[1] / "configs" / "operators.yaml")
    assert not bad(findings)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_tensor_of_one_element(tmp_path, sign):
    """Its random direction and its gradient's may cancel."""
    x = np.random.default_rng(0).standard_normal((40, 1))
    np.savez(tmp_path / "own.npz", x_train=x, y_train=sign * 3 * x[:, 0])
    raw = {
        "iterations": 1, "step_size": 0.1, "problem": {"kind": "least_squares"},
        "data": {"name": str(tmp_path / "own.npz"), "nodes": 3},
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(raw))
    findings = check(tmp_path / "own.yaml")
    assert not bad(findings)
    (text,) = (finding.text for finding in findings if finding.what == "finite differences")
    assert "nan" not in text
