"""The bounds of docs/theory.md beside a run's own diagnosis: a table and a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pmom_mpi import config as configs
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.style import COLORS, dress, panels
from pmom_mpi.analysis.tables import Table
from pmom_mpi.method.momentum import EMA, SGD, HeavyBall
from pmom_mpi.method.schedules import Constant
from pmom_mpi.theory.diagnosed import Diagnosed
from pmom_mpi.theory.live import Promise
from pmom_mpi.words.errors import UserError


def diagnosed(run: Run, smoothness: float | None = None) -> Diagnosed:
    """What a run file says of the bias; raises `UserError` where it was not diagnosed.

    Parameters
    ----------
    run : Run
    smoothness : float, optional
        L, instead of the problem's own.
    """
    if "diag_gradient" not in run.metrics:
        raise UserError(f"{run.path}: no diagnosis in it; run it again with -s diagnostics.every=1")
    due = np.isfinite(run.metrics["diag_gradient"]) & np.isfinite(run.metrics["diag_bias"])
    if not due.any():
        raise UserError(f"{run.path}: no iteration of it was diagnosed; choose a smaller diagnostics.every")
    config = configs.from_raw(run.config, str(run.path))
    rule, schedule = config.momentum, config.step_size
    constant = isinstance(schedule, Constant) and schedule.warm_up == 0 and not config.downlink
    beta, scale = rule.beta if isinstance(rule, EMA) else 1.0 if isinstance(rule, SGD) else None, 1.0
    if isinstance(rule, HeavyBall):  # the steps of ema with start: zero
        beta, scale = 1 - rule.beta, 1 / (1 - rule.beta)

    def fact(name: str) -> float | None:
        found = run.facts.get(f"problem_{name}")
        return None if found is None else float(np.asarray(found))

    def column(name: str) -> np.ndarray:
        return run.metrics[f"diag_{name}"][due]

    return Diagnosed(
        run.metrics["iteration"][due],
        value=column("value"),
        gradient=column("gradient"),
        bias=column("bias"),
        error=column("error"),
        momentum=column("momentum"),
        step_size=scale * schedule.value if constant else None,
        beta=beta,
        from_zero=isinstance(rule, HeavyBall) or (isinstance(rule, EMA) and rule.start == "zero"),
        smoothness=fact("smoothness") if smoothness is None else smoothness,
        pl=fact("pl_constant"),
        minimum=fact("minimum"),
        mean_bias=column("mean_bias") if "diag_mean_bias" in run.metrics else None,
        secants=column("smoothness") if "diag_smoothness" in run.metrics else None,
        noise=column("noise") if "diag_noise" in run.metrics else None,
        rounding=1e-6 if config.dtype == "float32" else 1e-13,
    )


def tables(run: Run, found: Diagnosed, promise: Promise) -> list[Table]:
    """Every assumption with its verdict, and the numbers."""
    last = found.iterations[-1] + 1
    rows = [
        ("running mean of |grad f|^2", _number(promise.averages[-1])),
        ("certificate", _last(promise.certificate)),
        ("a-priori bound", _last(promise.bound)),
        ("predicted residual C / (1 - eps - B)", _number(promise.residual)),
        ("B, C of the smallest envelope", f"{promise.affine.B:.4g}, {promise.affine.C:.4g}"),
        ("L", _number(promise.smoothness) + (" (estimate)" if promise.estimated and promise.smoothness else "")),
        ("mu", _number(promise.pl) + " (estimate)" * promise.pl_estimated),
        ("largest minibatch variance", _largest(run, "variance")),
        ("largest heterogeneity zeta^2", _largest(run, "heterogeneity")),
    ]
    for name, metric in run.described.items():
        if name.startswith(("diag_stage_", "diag_memory_")):
            rows.append(
                (metric.description.partition(", at ")[0], f"{_mean(run, name)}, largest {_largest(run, name[5:])}")
            )
    if found.mean_bias is not None and found.noise is not None:
        rows.append(("mean bias |E eta|^2, noise: means", f"{found.mean_bias.mean():.4g}, {found.noise.mean():.4g}"))
        rows.append(("bound, noise apart", _last(promise.apart)))
        rows.append(("its residual", _number(promise.apart_residual)))
        rows.append(("PL bound of E f - f*, noise apart", _last(promise.apart_pl)))
    if found.minimum is not None:
        rows.insert(0, ("f - f*", _number(found.value[-1] - found.minimum)))
        rows.insert(1, ("PL bound", _last(promise.pl_bound)))
    verdicts = tuple((verdict.name, verdict.state, verdict.why) for verdict in promise.verdicts)
    return [
        Table(f"{run.name}: assumptions and promises", ("what", "verdict", "why"), verdicts, texts=3),
        Table(f"after {last} iterations, {len(found.iterations)} of them diagnosed", ("what", "value"), tuple(rows)),
    ]


def figure(run: Run, found: Diagnosed, promise: Promise) -> Figure:
    """Measured decay beside what was promised; the envelope of the biases; where f* and mu are known, f - f*."""
    gaps = found.minimum is not None
    made, ((decay, scatter, *rest),) = panels(1, 2 + gaps, (5 * (2 + gaps), 4))
    after = found.iterations + 1
    decay.plot(after, promise.averages, color=COLORS[0], label=r"measured mean of $|\nabla f|^2$")
    doubt = " (L estimated)" if promise.estimated else ""
    if promise.certificate is not None:
        decay.plot(after[: len(promise.certificate)], promise.certificate, color=COLORS[2], label=f"certificate{doubt}")
    if promise.bound is not None and np.isfinite(promise.bound).any():
        decay.plot(after, promise.bound, color=COLORS[1], dashes=(5, 2), label=f"a-priori bound{doubt}")
    if promise.apart is not None and np.isfinite(promise.apart).any():
        decay.plot(after, promise.apart, color=COLORS[4], dashes=(1, 1), label=f"bound, noise apart{doubt}")
    if promise.residual:
        decay.axhline(promise.residual, color=COLORS[3], linestyle=":", label="predicted residual")
    _finish(decay, "iterations K", r"$\frac{1}{K}\sum|\nabla f(x^k)|^2$")
    decay.set_xscale("log")
    _envelope(scatter, found, promise)
    for axis in rest:
        axis.plot(found.iterations, found.value - found.minimum, color=COLORS[0], label="measured $f - f^*$")
        if promise.pl_bound is not None:
            axis.plot(found.iterations, promise.pl_bound, color=COLORS[1], dashes=(5, 2), label=f"PL bound{doubt}")
        if promise.apart_pl is not None:
            axis.plot(found.iterations, promise.apart_pl, color=COLORS[4], dashes=(1, 1), label="of E, noise apart")
        _finish(axis, "iteration k", "$f(x^k) - f^*$")
    made.suptitle(f"{run.name}: what theory promises, and what happened")
    made.tight_layout()
    return made


def _envelope(axis: Axes, found: Diagnosed, promise: Promise) -> None:
    axis.plot(found.gradient, found.bias, ".", color=COLORS[0], markersize=3, label=r"$|\eta^k|^2$, measured")
    places = np.geomspace(max(found.gradient.min(), 1e-30), found.gradient.max(), 200)
    B, C = promise.affine
    axis.plot(places, B * places + C, color=COLORS[1], label=f"envelope: B = {B:.3g}, C = {C:.3g}")
    _finish(axis, r"$|\nabla f(x^k)|^2$", r"$|\eta^k|^2$")
    axis.set_xscale("log")
    axis.xaxis.set_minor_formatter(NullFormatter())


def _finish(axis: Axes, x: str, y: str) -> None:
    dress(axis)
    axis.set_yscale("log", nonpositive="mask")
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.legend(frameon=False, fontsize="small")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _last(values: np.ndarray | None) -> str:
    return "unknown" if values is None else _number(float(values[-1]))


def _largest(run: Run, name: str) -> str:
    return _number(float(np.nanmax(run.metrics[f"diag_{name}"])))


def _mean(run: Run, name: str) -> str:
    return "mean " + _number(float(np.nanmean(run.metrics[name])))
