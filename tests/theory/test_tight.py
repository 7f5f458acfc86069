"""Worst cases by performance estimation: against published exact rates, below our bounds, and reached by real runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product as combinations

import numpy as np
import pytest
from click.testing import CliRunner

from pmom_mpi.analysis import worst_figure
from pmom_mpi.analysis.worst import Constants, diagnosed, known, tables
from pmom_mpi.cli import main
from pmom_mpi.method.momentum import EMA
from pmom_mpi.runtime.experiment import run
from pmom_mpi.theory import lyapunov, nonconvex, pl, tight
from pmom_mpi.theory.extremal import Extremal
from pmom_mpi.theory.performance import Point, Programme, square
from pmom_mpi.theory.tight import Setting
from pmom_mpi.words.errors import UserError

NEAR = 1e-4
"""Of the solver: relative."""


@pytest.fixture(autouse=True, scope="module")
def extra():
    pytest.importorskip("cvxpy")


# Published exact rates


@pytest.mark.parametrize("step", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("K", [1, 4])
def test_gradient_descent_on_strongly_convex_functions(step, K):
    """max((1 - gamma mu)^2K, (1 - gamma L)^2K): Taylor, Hendrickx, Glineur 2018."""
    mu, L = 0.2, 2.0
    found = tight.last(Setting(L, step / L, 1.0, 0, 0, K, gap=3.0), mu, convex=True)
    assert found.value == pytest.approx(3 * max(1 - step * mu / L, abs(1 - step)) ** (2 * K), rel=NEAR)


@pytest.mark.parametrize("step", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("K", [1, 3])
def test_the_smallest_gradient_of_gradient_descent(step, K):
    """4 (f(x^0) - f*) / (K (4 gamma - L gamma^2) + 2 / L): Abbaszadehpeivasti, de Klerk, Zamani 2022."""
    programme = Programme(K + 1, K + 2)
    gradients, values = np.eye(K + 1), np.eye(K + 2)
    points = [Point(-step * gradients[:k].sum(axis=0), gradients[k], values[k]) for k in range(K + 1)]
    programme.smooth(points, 1.0, -1.0)
    programme.bounded_below(points, 1.0)
    programme.at_most(1.0, linear=values[0])
    for gradient in gradients:
        programme.at_most(0.0, -square(gradient), values[-1])
    assert programme.maximize(linear=values[-1]).value == pytest.approx(4 / (K * (4 * step - step**2) + 2), rel=NEAR)


def one_inexact_step(step: float, delta: float) -> float:
    """The largest |grad f(x^1)|^2 of convex 1-smooth f with f(x^0) - f(x^1) <= 1 and |d - grad f| <= delta |grad f|."""
    before, direction, after = np.eye(3)
    points = [Point(np.zeros(3), before, np.array([1.0, 0])), Point(-step * direction, after, np.array([0, 1.0]))]
    programme = Programme(3, 2)
    programme.smooth(points, 1.0, 0.0)
    programme.at_most(0.0, square(direction - before) - delta**2 * square(before))
    programme.at_most(1.0, linear=np.array([1.0, -1.0]))
    programme.at_most(0.0, linear=np.array([1.0, 1.0]))  # values are free up to a constant
    return programme.maximize(square(after)).value


@pytest.mark.parametrize("delta", [0.1, 0.3, 0.5])
def test_one_step_with_a_relatively_inexact_gradient(delta):
    """Vernimmen and Glineur, arXiv 2506.17145: three ranges of step sizes, the middle one by the root of a cubic."""
    middle = 1.5 / (1 + delta)
    end = (3 * delta + 2 - np.sqrt(4 - 3 * delta**2)) / (2 * delta * (delta + 1))
    for step in (0.3 * middle, 0.99 * middle):
        assert one_inexact_step(step, delta) == pytest.approx(1 / (step * (1 - delta)), rel=NEAR)
    for step in (end, (end + 2 / (1 + delta)) / 2):
        long = 1 - step * (1 + delta)
        assert one_inexact_step(step, delta) == pytest.approx(2 * long**2 / (1 - long**2), rel=NEAR)
    step = (middle + end) / 2
    bent = (delta**2 - 1) * step**2
    weight = max(np.roots([bent + 2 * step, 2 * bent + 5 * step - 4, bent + 4 * step - 4, step - 1]).real)
    published = 2 * weight / (step * weight**2 + 2 * (step - 1) * weight + step - 1)
    assert one_inexact_step(step, delta) == pytest.approx(published, rel=NEAR)


@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_compressed_gradient_descent_at_its_best_step_size(epsilon):
    """((k - 1) / (k + 1))^2, k = (L / mu) (1 + sqrt epsilon) / (1 - sqrt epsilon): de Klerk, Glineur, Taylor 2020."""
    mu, L, s = 0.2, 1.0, np.sqrt(epsilon)
    k = L / mu * (1 + s) / (1 - s)
    setting = Setting(L, 2 / ((1 + s) * L + (1 - s) * mu), 1.0, epsilon, 0.0, 1)
    assert tight.last(setting, mu, convex=True).value == pytest.approx(((k - 1) / (k + 1)) ** 2, rel=NEAR)


@pytest.mark.parametrize("epsilon", [0.05, 0.3, 0.8])
def test_error_feedback_at_its_best_step_size(epsilon):
    """Berg Thomsen, Taylor, Dieuleveut, arXiv 2506.05271: |x - x* - e|^2 + |e|^2 / sqrt epsilon falls by their rate."""
    mu, L, s = 0.2, 1.0, np.sqrt(epsilon)
    step = 2 / (L + mu) * (1 - s) / (1 + s)
    root = np.sqrt((L - mu) ** 2 + 16 * L * mu * s / (1 + s) ** 2)
    published = s + (1 + s) * (L - mu) / 4 * step / (L + mu) * ((1 - s) * (L - mu) + (1 + s) * root)
    x, gradient, sent, memory, after = np.eye(5)
    remembered = step * gradient + memory - sent
    points = [
        Point(x, gradient, np.array([1.0, 0])), Point(x - sent, after, np.array([0, 1.0])),
        Point(np.zeros(5), np.zeros(5), np.zeros(2)),
    ]  # fmt: skip
    programme = Programme(5, 2)
    programme.smooth(points, L, mu)
    programme.at_most(0.0, square(remembered) - epsilon * square(step * gradient + memory))
    programme.at_most(1.0, square(x - memory) + square(memory) / s)
    found = programme.maximize(square(x - sent - remembered) + square(remembered) / s)
    assert found.value == pytest.approx(published, rel=NEAR)


@pytest.mark.parametrize("beta, step, B, C", [(0.5, 0.4, 0.5, 0.1), (0.1, 2.0, 0.0, 0.3), (1.0, 1.0, 1.5, 0.0)])
def test_pepit_finds_the_same(beta, step, B, C):
    PEPit = pytest.importorskip("PEPit")
    from PEPit.functions import SmoothFunction

    K, problem = 3, PEPit.PEP()
    f = problem.declare_function(SmoothFunction, L=1.0)
    x, v, total = problem.set_initial_point(), None, 0
    for k in range(K):
        gradient, value = f.oracle(x)
        error = PEPit.Point()
        if k == 0:
            problem.add_constraint(value <= 1)
        problem.add_constraint(value - gradient**2 / 2 >= 0)
        problem.add_constraint(error**2 <= B * gradient**2 + C)
        v = gradient + error if v is None else (1 - beta) * v + beta * (gradient + error)
        x, total = x - step * v, total + gradient**2
    problem.set_performance_metric(total / K)
    expected = problem.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)
    assert tight.average(Setting(1.0, step, beta, B, C, K)).value == pytest.approx(expected, rel=NEAR)


# Beside our bounds

GRID = [
    Setting(2.0, share * nonconvex.largest_step_size(2.0, beta, B), beta, B, C, K, gap=0.7)
    for beta, share, B, C, K in combinations((1.0, 0.5, 0.1), (1.0, 0.4), (0.0, 0.5, 0.9), (0.0, 0.2), (1, 4))
]


def promised(setting: Setting) -> dict[str, float]:
    return {
        "gap": setting.gap, "first_bias": setting.largest_first_bias(), "B": setting.B, "C": setting.C,
        "smoothness": setting.smoothness, "step_size": setting.step_size, "beta": setting.beta,
    }  # fmt: skip


def test_the_average_is_never_above_the_bound():
    ratios = []
    for setting, from_zero in combinations(GRID, (False, True)):
        setting = replace(setting, from_zero=from_zero)
        ratios.append(tight.average(setting).value / nonconvex.bound(setting.iterations, **promised(setting)))
    print(f"worst case / bound of {len(ratios)}: median {np.median(ratios):.3f}, largest {max(ratios):.5f}")
    assert max(ratios) <= 1 + NEAR
    assert max(ratios) > 0.99  # gradient descent without bias: the bound is the worst case


def test_a_smaller_first_bias_is_seen():
    setting = Setting(1.0, 0.05, 0.1, 0.5, 0.1, 4)
    known = replace(setting, first_bias=0.01)
    assert tight.average(known).value < 0.95 * tight.average(setting).value
    assert tight.average(known).value <= nonconvex.bound(4, **promised(known)) * (1 + NEAR)


def test_the_last_iterate_is_never_above_the_pl_bound():
    ratios, mu = [], 0.1
    for setting in GRID:
        convex, polyak = tight.last(setting, mu, convex=True).value, tight.last(setting, mu).value
        assert convex <= polyak * (1 + NEAR)
        try:
            bound = pl.bound(setting.iterations, pl=mu, **promised(setting))
        except UserError:  # no room for a rate
            continue
        ratios.append(polyak / bound)
    print(f"worst case / PL bound of {len(ratios)}: median {np.median(ratios):.3f}, largest {max(ratios):.5f}")
    assert max(ratios) <= 1 + NEAR
    assert len(ratios) > len(GRID) / 4


@pytest.mark.parametrize("beta, B", [(1.0, 0.0), (0.5, 0.5), (0.1, 0.5)])
def test_floors_lie_between_a_run_that_stands_still_and_our_residuals(beta, B):
    mu, L = 0.1, 2.0
    step = 0.4 * nonconvex.largest_step_size(L, beta, B)
    eps = float(nonconvex.smallest_eps(step * L, beta))
    average, last = lyapunov.average_floor(L, step, beta, B), lyapunov.last_floor(L, mu, step, beta, B)
    assert average == pytest.approx(1 / (1 - B), rel=1e-3)  # for every beta, with these steps: what no bound can better
    assert 1 / (1 - B) * (1 - NEAR) <= average <= 1 / (1 - eps - B) * (1 + NEAR)
    ours = pl.bound(10**9, gap=0, first_bias=0, B=B, C=1.0, smoothness=L, step_size=step, beta=beta, pl=mu)
    assert 1 / (2 * mu * (1 - B)) * (1 - NEAR) <= last <= ours * 1.01  # of rates only some are tried


def test_a_run_that_stands_still_reaches_the_floors():
    """f = mu x^2 / 2, bias -grad f where |grad f|^2 = C / (1 - B): x^0 = x^1 = ..., whatever the method."""
    mu, B, C, K = 0.1, 0.5, 0.2, 6
    gap = C / (2 * mu * (1 - B))
    setting = Setting(1.0, 0.01, 0.5, B, C, K, gap=gap)
    assert tight.last(setting, mu, convex=True).value >= gap * (1 - NEAR)
    assert tight.average(setting).value >= C / (1 - B) * (1 - NEAR)


def test_no_floor_for_steps_that_diverge_or_biases_against_the_gradient():
    assert lyapunov.average_floor(1.0, 4.2, 0.5, 0.0) == float("inf")
    assert lyapunov.average_floor(1.0, 0.1, 0.5, 1.1) == float("inf")


# Reached by a run


@pytest.mark.parametrize(
    "setting", [Setting(2.0, 0.2, 0.3, 0.3, 0.2, 4, gap=3.0), Setting(1.0, 0.04, 0.1, 0.5, 0.1, 5),
                Setting(1.0, 1.5, 0.5, 0.0, 0.0, 4)]
)  # fmt: skip
def test_the_servers_momentum_does_the_worst_on_the_extremal_function(setting):
    """Of the Gram matrix a function is made, and the run's own rule walks on it with biases that keep to B and C."""
    case = tight.average(setting)
    f = Extremal(case, setting.smoothness, -setting.smoothness)
    rule, x, gradients = EMA(setting.beta), case.x[0].copy(), []
    state = rule.init(x.size, x.dtype)
    for k in range(setting.iterations):
        value, gradient = f(x)
        assert value >= -NEAR * setting.gap and (k > 0 or value <= setting.gap * (1 + NEAR))
        gradients.append(gradient @ gradient)
        most = np.sqrt(setting.B * gradients[-1] + setting.C)
        bias = case.biases[k] * min(1.0, most / max(np.linalg.norm(case.biases[k]), 1e-12))
        rule.step(x, gradient + bias, state, setting.step_size, k)
    assert np.mean(gradients) == pytest.approx(case.value, rel=0.01)


def test_the_extremal_function_is_of_its_class():
    setting = Setting(2.0, 0.2, 0.3, 0.3, 0.2, 3)
    f = Extremal(tight.average(setting), 2.0, -2.0)
    rng = np.random.default_rng(0)
    d = f.case.x.shape[1]
    for _ in range(20):
        x, y = rng.standard_normal((2, d))
        (fx, gx), (fy, gy) = f(x), f(y)
        assert np.linalg.norm(gx - gy) <= 2.0 * np.linalg.norm(x - y) * (1 + 1e-3)
        assert fy <= fx + gx @ (y - x) + (y - x) @ (y - x) + 1e-4
        assert fx - gx @ gx / 4 >= -1e-4


# The best method


def test_the_best_step_size_of_gradient_descent():
    """2 / (L + mu), with which f - f* falls by ((L - mu) / (L + mu))^2 an iteration."""
    mu, K = 0.2, 2
    worst, setting = tight.best_step_size(
        lambda one: tight.last(one, mu, convex=True).value, Setting(1.0, 1.0, 1.0, 0, 0, K)
    )
    assert setting.step_size == pytest.approx(2 / 1.2, rel=0.05)
    assert worst == pytest.approx((0.8 / 1.2) ** (2 * K), rel=0.3)


@pytest.mark.slow
def test_momentum_is_best_for_convex_functions_without_bias_and_not_for_others():
    def last(one: Setting) -> float:
        return tight.last(one, 0.1, convex=True).value

    exact = Setting(1.0, 1.0, 1.0, 0.0, 0.0, 6)
    worst, setting = tight.best(last, exact)
    assert 0.6 < setting.beta < 0.95
    assert worst < 0.5 * tight.best_step_size(last, exact)[0]
    biased = replace(exact, B=0.5)
    assert tight.best(last, biased)[0] > 0.95 * tight.best_step_size(last, biased)[0]


def test_the_command():
    options = [
        "theory",
        "--tight",
        "-L",
        "1",
        "--beta",
        "0.5",
        "--step-size",
        "0.2",
        "-B",
        "0.3",
        "-C",
        "0.1",
        "--mu",
        "0.1",
        "-K",
        "3",
    ]
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0
    row = next(line for line in done.output.splitlines() if line.strip().startswith("mean of |grad f|^2, K = 3"))
    worst, bound = (float(number) for number in row.split()[-2:])
    assert worst == pytest.approx(tight.average(Setting(1.0, 0.2, 0.5, 0.3, 0.1, 3)).value, rel=1e-3)
    assert worst < bound
    assert CliRunner().invoke(main, ["theory"]).exit_code == 2
    with pytest.raises(UserError, match="--beta: not known"):
        Constants(1.0, None, 0.1, None, None, None, None).setting(3)


def test_the_command_on_a_run(tmp_path):
    ridge = {
        "name": "ridge", "iterations": 30, "step_size": 0.004, "momentum": {"kind": "ema", "beta": 0.5},
        "dtype": "float64", "problem": {"kind": "least_squares", "positive": [5, 6, 7, 8, 9], "l2": 0.01},
        "data": {"name": "digits", "nodes": 5}, "bias": [{"kind": "top_k", "fraction": 0.25}],
        "diagnostics": {"every": 1}, "output": str(tmp_path / "run.h5"),
    }  # fmt: skip
    run(ridge)
    told = Constants(None, None, None, None, None, 0.0, None)
    found = known(diagnosed(str(tmp_path / "run.h5"), told), told)
    assert (found.step_size, found.beta, found.C) == (0.004, 0.5, 0.0) and found.smoothness > 0 and found.pl > 0
    assert any("in the end" in row[0] for table in tables(found, 2, best=False) for row in table.rows)
    assert not any("noise apart" in row[0] for table in tables(found, 2, best=False) for row in table.rows)


def test_the_picture_has_bound_worst_case_and_what_a_run_did(tmp_path):
    raw = {
        "name": "ridge", "iterations": 30, "step_size": 0.004, "momentum": {"kind": "ema", "beta": 0.5},
        "dtype": "float64", "problem": {"kind": "least_squares", "positive": [5, 6, 7, 8, 9], "l2": 0.01},
        "data": {"name": "digits", "nodes": 5}, "gradient": {"batch": 10, "order": "replacement"},
        "diagnostics": {"every": 1, "repeats": 4}, "output": str(tmp_path / "run.h5"),
    }  # fmt: skip
    run(raw)
    told = Constants(None, None, None, None, None, None, None)
    seen = diagnosed(str(tmp_path / "run.h5"), told)
    constants = known(seen, told)
    row = next(row for table in tables(constants, 2, best=False) for row in table.rows if "noise apart" in row[0])
    assert float(row[1]) < float(row[2])
    for axis in worst_figure.figure(constants, 3, seen).axes:
        lines = {line.get_label(): line.get_ydata() for line in axis.get_lines()}
        worst = lines.get("worst case", lines.get("worst case, strongly convex"))
        assert (worst <= lines["bound"] * (1 + NEAR)).all()
        assert (lines["measured"][-1] <= worst[-1]) and len(lines["measured"]) in (3, 4)
    place = str(tmp_path / "w.png")
    line = f"theory --tight -L 1 --beta 0.5 --step-size 0.2 -K 2 -o {place}".split()
    assert CliRunner().invoke(main, line, catch_exceptions=False).exit_code == 0
    assert (tmp_path / "w.png").stat().st_size > 5_000


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)  # as where it is not installed
    with pytest.raises(UserError, match=r"pip install 'pmom-mpi\[pep\]'"):
        tight.average(GRID[0])
