"""`pmom theory` on real runs: what holds is said to, planted violations are found, the unknown is not promised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from pmom_mpi.analysis import read
from pmom_mpi.analysis.bounds import diagnosed
from pmom_mpi.cli import main
from pmom_mpi.measure import constants
from pmom_mpi.runtime.experiment import run
from pmom_mpi.runtime.setting import ready
from pmom_mpi.theory.live import examine
from pmom_mpi.words.errors import UserError

RIDGE = {
    "name": "ridge", "iterations": 120, "step_size": 0.004, "momentum": {"kind": "ema", "beta": 0.1},
    "problem": {"kind": "least_squares", "positive": [5, 6, 7, 8, 9], "l2": 0.01}, "dtype": "float64",
    "data": {"name": "digits", "nodes": 5, "partition": {"kind": "label", "classes": 2}},
    "bias": [{"kind": "top_k", "fraction": 0.25}], "diagnostics": {"every": 1},
}  # fmt: skip


@pytest.fixture
def examined(tmp_path):
    def examined(smoothness=None, **changes):
        run(RIDGE | {"output": str(tmp_path / "run.h5")} | changes, overwrite=True)
        found = diagnosed(read.load(tmp_path / "run.h5"), smoothness)
        promise = examine(found)
        return found, promise, {verdict.name.split(":")[0]: verdict for verdict in promise.verdicts}

    return examined


@pytest.mark.parametrize("start", ["gradient", "zero"])
@pytest.mark.parametrize("bias", [RIDGE["bias"], [{"kind": "clip_norm", "tau": 0.5}], ["ef21", *RIDGE["bias"]]])
def test_what_holds_is_said_to_hold(examined, bias, start):
    found, promise, verdicts = examined(bias=bias, momentum={"kind": "ema", "beta": 0.1, "start": start})
    assert {verdict.state for verdict in verdicts.values()} == {"held"}, promise.verdicts
    assert {"A1", "A2", "A3", "A4", "step size", "certificate", "a-priori bound", "PL bound"} <= set(verdicts)
    assert (promise.averages[:-1] <= promise.certificate).all() and (promise.averages <= promise.bound).all()
    assert (found.value - found.minimum <= promise.pl_bound * (1 + 1e-9)).all()
    assert (promise.certificate <= promise.bound[:-1] * (1 + 1e-9)).all()


def test_steps_never_need_more_than_the_true_smoothness_and_can_need_all_of_it(examined):
    found, _, _ = examined(momentum="sgd", bias=[], step_size=0.3, iterations=60)  # along the steepest direction
    curvatures = found.curvatures()[:-1]
    assert curvatures.max() <= found.smoothness * (1 + 1e-6)
    assert curvatures.max() > 0.9 * found.smoothness


def test_a_step_size_too_large_for_any_bound(examined):
    _, promise, verdicts = examined(step_size=0.05)
    assert verdicts["step size"].state == "violated" and "times too large" in verdicts["step size"].why
    assert promise.certificate is None and promise.bound is None


def test_a_wrong_smoothness_is_found_where_it_shows(examined):
    # Steps of twice 1/L: f grows, and so does every certificate that believes in a small L.
    _, _, verdicts = examined(smoothness=1.0, momentum="sgd", bias=[], step_size=0.25, iterations=60)
    assert verdicts["A2"].state == "violated" and "times as much" in verdicts["A2"].why
    assert verdicts["certificate"].state == "violated"


def test_a_problem_without_constants_gets_no_promise(examined):
    data = {"name": "digits", "nodes": 5}
    _, promise, verdicts = examined(problem={"kind": "mlp", "hidden": [8]}, data=data, step_size=0.002)
    assert promise.estimated and promise.smoothness > 0
    assert {verdicts[name].state for name in ("A1", "A2", "A3", "step size", "certificate", "a-priori bound")} <= {
        "unknown", "violated"
    }  # fmt: skip
    assert verdicts["A2"].state == "unknown" and "estimate" in verdicts["A2"].why


def test_mu_is_a_number_of_its_own(examined):
    found, promise, _ = examined()
    assert promise.pl == found.pl and not promise.pl_estimated
    least = (found.gradient / (2 * (found.value - found.minimum))).min()
    unknown = examine(replace(found, pl=None))
    assert unknown.pl == pytest.approx(least) and unknown.pl_estimated and unknown.pl >= found.pl
    states = {verdict.name.split(":")[0]: verdict for verdict in unknown.verdicts}
    assert states["A3"].state == "unknown" and "used as an estimate" in states["A3"].why
    assert states["PL bound"].state == "unknown"  # nothing is promised by an estimate
    assert examine(replace(found, pl=None, minimum=None)).pl is None


def test_lanczos_looks_at_the_hessian_where_no_L_is_known(tmp_path):
    path = tmp_path / "run.h5"
    data = {"name": "digits", "nodes": 3}
    few = {"iterations": 4, "step_size": 1e-4, "problem": {"kind": "mlp", "hidden": [4]}, "data": data, "bias": []}
    run(RIDGE | few | {"output": str(path)})
    seen = read.load(path)
    setting = ready(seen.config)
    most = constants.along(setting, seen.model())
    start = setting.problem.initial_point()
    points = (start, (start + seen.model()) / 2, seen.model())
    assert most == max(constants.curvature(setting, x) for x in points)
    done = CliRunner().invoke(main, ["theory", str(path), "--lanczos"], catch_exceptions=False)
    found = examine(replace(diagnosed(seen), lanczos=most))
    assert found.smoothness >= most and found.estimated
    assert "Lanczos" in done.output and "(estimate)" in done.output
    run(RIDGE | {"output": str(path), "iterations": 3}, overwrite=True)
    assert constants.along(ready(read.load(path).config), read.load(path).model()) is None  # the problem knows its own


@pytest.mark.parametrize(
    "changes", [{"momentum": {"kind": "nesterov", "beta": 0.5}}, {"downlink": [{"kind": "top_k", "fraction": 0.5}]},
                {"step_size": {"kind": "cosine", "value": 0.004}}]
)  # fmt: skip
def test_another_method_is_unknown(examined, changes):
    _, promise, verdicts = examined(iterations=10, **changes)
    assert verdicts["step size"].state == "unknown" and promise.certificate is None


def test_fewer_diagnoses_leave_the_certificate_unknown(examined):
    _, promise, verdicts = examined(diagnostics={"every": 10})
    assert verdicts["certificate"].state == "unknown" and "every: 1" in verdicts["certificate"].why
    assert np.isfinite(promise.bound).all()


def test_repeated_draws_give_the_bound_with_noise_apart(examined):
    changes = {"gradient": {"batch": 10, "order": "replacement"}, "bias": [], "iterations": 60}
    found, promise, verdicts = examined(diagnostics={"every": 1, "repeats": 5}, **changes)
    assert verdicts["bound, noise apart"].state == "held"
    assert (promise.averages <= promise.apart).all()
    assert promise.apart_residual < 0.5 * promise.residual  # beta is 0.1, and almost all of eta is noise
    assert found.noise.mean() > 5 * found.mean_bias.mean()
    assert (found.value - found.minimum <= promise.apart_pl).all()
    if promise.pl_bound is not None:
        assert promise.apart_pl[-1] < promise.pl_bound[-1]


def test_the_command(tmp_path):
    path = tmp_path / "run.h5"
    run(RIDGE | {"output": str(path), "iterations": 20})
    done = CliRunner().invoke(main, ["theory", str(path), "-o", str(tmp_path / "picture.png")], catch_exceptions=False)
    assert done.exit_code == 0 and (tmp_path / "picture.png").stat().st_size > 10_000
    for words in ("A2: f is L-smooth", "held", "certificate", "predicted residual", "zeta^2"):
        assert words in done.output
    run(RIDGE | {"output": str(path), "iterations": 3, "diagnostics": {}}, overwrite=True)
    with pytest.raises(UserError, match="diagnostics.every=1"):
        diagnosed(read.load(path))


def test_a_bias_larger_than_the_gradient_is_reported(examined):
    """Noise that is larger than the gradient by a factor: no B below 1 fits, only a C as large as the largest bias."""
    bias = [{"kind": "rand_k", "fraction": 0.1, "scale": "unbiased"}]
    one = {"kind": "label", "classes": 10}
    data = {"name": "digits", "nodes": 1, "partition": one}
    _, _, verdicts = examined(bias=bias, momentum="sgd", step_size=0.0005, data=data)
    assert verdicts["A4"].state == "violated" and "B < 1 is needed" in verdicts["A4"].why


def test_heavy_ball_is_held_against_the_bounds_of_the_average_that_it_is(examined):
    _, promise, verdicts = examined(momentum={"kind": "heavy_ball", "beta": 0.9}, step_size=0.0004, bias=[])
    assert verdicts["certificate"].state == "held" and (promise.averages[:-1] <= promise.certificate).all()
