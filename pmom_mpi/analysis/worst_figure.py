"""Bound, worst case and measurement after 1, 2, ... iterations in one picture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pmom_mpi.analysis.style import COLORS, dress, panels
from pmom_mpi.analysis.worst import Constants
from pmom_mpi.theory import nonconvex, pl, tight
from pmom_mpi.theory.diagnosed import Diagnosed
from pmom_mpi.theory.tight import Setting
from pmom_mpi.words.errors import UserError

PLACES = 8
"""Values of K, at most, for which worst cases are computed."""


def figure(constants: Constants, iterations: int, run: Diagnosed | None = None) -> Figure:
    """The mean of |grad f|^2, and where mu is known f - f*, over K up to ``iterations``; what ``run`` did beside them.

    Raises
    ------
    UserError
        As `Constants.setting` and the worst cases.
    """
    whole, mu = constants.setting(iterations), constants.pl
    some = np.unique(np.linspace(1, iterations, min(iterations, PLACES)).round().astype(int))
    made, ((average, *rest),) = panels(1, 2 if mu is not None else 1, (11 if mu is not None else 5.5, 4))
    means = gaps = None
    if run is not None and run.complete:
        means = np.cumsum(run.gradient) / np.arange(1, len(run.gradient) + 1)
        gaps = None if run.minimum is None else run.value - run.minimum
    _curve(average, some, whole, lambda one: tight.average(one).value, "worst case", COLORS[2], "-")
    _promised(average, some, whole, nonconvex.bound, {})
    _measured(average, np.arange(1, iterations + 1), means)
    _finish(average, r"$\frac{1}{K}\sum|\nabla f(x^k)|^2$")
    for axis in rest:
        assert mu is not None
        _curve(axis, some, whole, lambda one: tight.last(one, mu).value, "worst case, PL (at most)", COLORS[3], "--")
        _curve(axis, some, whole, lambda one: tight.last(one, mu, convex=True).value,
               "worst case, strongly convex", COLORS[2], "-")  # fmt: skip
        _promised(axis, some, whole, pl.bound, {"pl": mu})
        _measured(axis, np.arange(iterations + 1), gaps)
        _finish(axis, "$f(x^K) - f^*$")
    made.tight_layout()
    return made


def _curve(
    axis: Axes, some: np.ndarray, whole: Setting, worst: Callable[[Setting], float], name: str, color: str, line: str
) -> None:
    values = [worst(replace(whole, iterations=K)) for K in some.tolist()]
    axis.plot(some, values, "o", linestyle=line, color=color, markersize=4, label=name)


def _promised(
    axis: Axes, some: np.ndarray, whole: Setting, bound: Callable[..., np.ndarray], more: dict[str, float]
) -> None:
    """The bound; nothing where the step size is too large for one."""
    start = {"gap": whole.gap, "first_bias": whole.largest_first_bias(), "B": whole.B, "C": whole.C}
    method = {"smoothness": whole.smoothness, "step_size": whole.step_size, "beta": whole.beta}
    with suppress(UserError):
        axis.plot(some, bound(some, **start, **method, **more), color=COLORS[1], dashes=(5, 2), label="bound")


def _measured(axis: Axes, places: np.ndarray, values: np.ndarray | None) -> None:
    if values is not None:
        count = min(len(places), len(values))
        axis.plot(places[:count], values[:count], color=COLORS[0], label="measured")


def _finish(axis: Axes, what: str) -> None:
    dress(axis)
    axis.set_yscale("log")
    axis.set_xlabel("iterations K")
    axis.set_ylabel(what)
    axis.legend(frameon=False, fontsize="small")
