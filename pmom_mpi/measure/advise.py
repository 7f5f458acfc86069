"""A step size with a reason: constants from short runs, the largest with a bound, and the one that went best."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.analysis import read
from pmom_mpi.analysis.bounds import diagnosed
from pmom_mpi.bias.base import Quantizer
from pmom_mpi.measure import apart, choices, constants
from pmom_mpi.method.momentum import EMA, SGD, HeavyBall
from pmom_mpi.method.schedules import Constant
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime.setting import Setting, ready
from pmom_mpi.runtime.source import Raw
from pmom_mpi.words.errors import UserError

FACTOR = 2.0
"""Step sizes that are tried differ by it."""
TRIALS = 16
LOOKS = 10
"""Diagnoses in a trial; f is the mean of the last three."""
LEAST = 50
"""Iterations of a trial, unless the run is shorter; else a quarter of the run's."""
WHOLE = 8
"""Trials of the whole length, at most."""
NOISY = "noise leaves more the larger the step, so that short trials flatter large ones"
CHECKED = "short trials do not see what comes late"


@dataclass(frozen=True)
class Trial:
    """A run: its step size, the mean of its last exact values of f (NaN where it diverged), its length."""

    step_size: float
    value: float
    iterations: int


@dataclass(frozen=True)
class Advice:
    """What is proposed, and from what.

    Attributes
    ----------
    step_size : float
        The practical one.
    admissible : float or None
        The largest with a bound (docs/theory.md); None where no theory is for the rule or the bias.
    smoothness : float
    estimated : bool
        Whether L is an estimate.
    B, C : float
        The smallest affine envelope of the mean biases on the best run, apart from the noise.
    floor : float or None
        What the bound says bias and noise leave of |grad f|^2, with half of ``admissible``.
    iterations : int
        Of each short trial.
    trials : list of Trial
        The short ones by step size, then those of the whole length.
    reasons : list of str
    beta : float
        What the bounds prefer, with the step sizes of `momenta`.
    momenta, operators : list
        What the bounds say of other betas and of other operators (`pmom_mpi.measure.choices`).
    bias, noise : float
        Means of |E eta|^2 and of E|eta - E eta|^2 on the best run (`pmom_mpi.measure.apart`).
    """

    step_size: float
    admissible: float | None
    smoothness: float
    estimated: bool
    B: float
    C: float
    floor: float | None
    iterations: int
    trials: list[Trial] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    beta: float = 1.0
    momenta: list[choices.Momentum] = field(default_factory=list)
    operators: list[choices.Operator] = field(default_factory=list)
    bias: float = 0.0
    noise: float = 0.0


def advise(config: Raw, overrides: Iterable[str] = (), iterations: int | None = None) -> Advice:
    """Measure and propose.

    Parameters
    ----------
    config, overrides
        As `pmom_mpi.runtime.experiment.run` takes them.
    iterations : int, optional
        Of a trial; without, the best of short ones are tried again at the run's whole length.

    Raises
    ------
    UserError
        As `run`; where the problem has no exact gradient; where every trial diverged.
    """
    overrides = [*overrides]
    setting = ready(config, overrides)
    total = setting.config.iterations
    length = min(total, max(LEAST, total // 4)) if iterations is None else min(total, iterations)
    L, estimated = constants.smoothness(setting, setting.problem.initial_point())
    if not L > 0:
        raise UserError("problem: f is flat at x^0, so nothing is known of a step size")
    key = step_key(setting.config.step_size)
    points: dict[float, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:

        def trial(length: int, step_size: float, repeats: int = 0) -> Trial:
            every = max(1, (length - 1) // LOOKS)
            changes = [f"{key}={step_size!r}", f"iterations={length}", "evaluate.every=0", f"diagnostics.every={every}"]
            changes.append(f"diagnostics.repeats={repeats}")
            place = Path(folder) / f"{step_size!r}.h5"
            ended = experiment.run(config, [*overrides, *changes, "on_divergence=stop"], output=place, overwrite=True)
            values = read.load(place).metrics["diag_value"]
            values = values[np.isfinite(values)]
            if ended.x is not None:
                points[step_size] = ended.x
            fine = ended.status == "finished" and len(values) > 0 and values[-1] <= values[0]
            return Trial(step_size, float(values[-3:].mean()) if fine else float("nan"), length)

        def seen(one: Trial) -> read.Run:
            return read.load(Path(folder) / f"{one.step_size!r}.h5")

        def again(repeats: int) -> read.Run:
            trial(best.iterations, best.step_size, repeats)
            return seen(best)

        trials = _search(partial(trial, length), 1 / L, TRIALS)
        best, step_size, why = _pick(trials)
        reasons = [why]
        if iterations is None and length < total:
            noisy = _random(setting) or bool(np.nanmax(seen(best).metrics["diag_variance"]) > 0)
            whole = (_search if noisy else _until_fine)(partial(trial, total), step_size, WHOLE)
            trials += whole
            best, step_size, why = _pick(whole)
            reasons.append(f"{why}: {NOISY if noisy else CHECKED}")
        known = diagnosed(seen(best))
        parts = apart.split(setting, seen(best), again, _random(setting))
    advice = _conclude(setting.config, parts, step_size, reasons, trials, length, L, estimated)
    gap = float(known.value[0]) - (known.minimum if known.minimum is not None else min(0.0, float(known.value.min())))
    momenta = choices.momenta(parts.affine, parts.sigma2, L, known.pl, gap=gap, iterations=total, M=parts.M)
    beta, why = choices.which_beta(momenta, parts.bias, parts.noise)
    own = _average(setting.config)[0] or 1.0
    operators = choices.operators(setting, points[best.step_size], L, own, total)
    more = [*advice.reasons, why, choices.which_operator(operators)]
    return replace(
        advice, beta=beta, momenta=momenta, operators=operators, reasons=more, bias=parts.bias, noise=parts.noise
    )


def step_key(schedule: object) -> str:
    """The key that sets a schedule's size."""
    return "step_size" if isinstance(schedule, Constant) and not schedule.warm_up else "step_size.value"


def _random(setting: Setting) -> bool:
    """Whether the bias is drawn by lot; whether gradients are, their variance tells."""
    stages = setting.pipeline.stages
    return any(stage.stream is not None or isinstance(stage, Quantizer) for stage in stages)


def _search(trial: Callable[[float], Trial], start: float, most: int) -> list[Trial]:
    """Downhill from ``start`` over powers of `FACTOR`, until both neighbours of the best have been tried."""
    found = {0: trial(start)}
    while len(found) < most:
        fine = {place: one.value for place, one in found.items() if np.isfinite(one.value)}
        best = min(fine, key=lambda place: fine[place]) if fine else min(found)
        wanted = [place for place in (best + 1, best - 1) if place not in found]
        if not fine:
            wanted = [best - 1]
        if not wanted:
            break
        found[wanted[0]] = trial(start * FACTOR ** wanted[0])
    return [found[place] for place in sorted(found)]


def _until_fine(trial: Callable[[float], Trial], start: float, most: int) -> list[Trial]:
    """``start``, and smaller ones until one does not diverge."""
    found = [trial(start)]
    while not np.isfinite(found[0].value) and len(found) < most:
        found.insert(0, trial(found[0].step_size / FACTOR))
    return found


def _pick(trials: list[Trial]) -> tuple[Trial, float, str]:
    """The best trial, what is proposed by it, and why; raises where all diverged."""
    fine = [one for one in trials if np.isfinite(one.value)]
    if not fine:
        raise UserError("step_size: f grew in every trial, however small the step; look at the bias (pmom bias)")
    best = min(fine, key=lambda one: one.value)
    edge = any(one.step_size == FACTOR * best.step_size and not np.isfinite(one.value) for one in trials)
    count = f"best of {len(trials)} trials" if len(trials) > 1 else "once"
    why = f"{best.step_size:.4g} went {count} of {best.iterations} iterations (f = {best.value:.6g})"
    if edge:
        return best, best.step_size / FACTOR, f"{why}; twice as much diverged, so half of it is proposed"
    return best, best.step_size, why


def _average(config: configs.Config) -> tuple[float | None, float]:
    """The rule's beta as an average of gradients (None where it is none), and how much smaller its step sizes are."""
    rule = config.momentum
    if isinstance(rule, HeavyBall):
        return 1 - rule.beta, 1 - rule.beta
    return rule.beta if isinstance(rule, EMA) else 1.0 if isinstance(rule, SGD) else None, 1.0


def _conclude(
    config: configs.Config, parts: apart.Apart, step_size: float, chosen: list[str], trials: list[Trial], length: int,
    L: float, estimated: bool,
) -> Advice:  # fmt: skip
    B, C = parts.affine
    beta, scale = _average(config)
    word = "an estimate by Lanczos' method at x^0" if estimated else "the problem's own"
    noise = f"; noise of {parts.M:.3g} |grad f|^2 + {parts.sigma2:.3g}" if parts.noise > 0 else ""
    reasons = [f"L = {L:.4g}, {word}; B = {B:.3g}, C = {C:.3g}{noise} on the best of the trials ({parts.how})"]
    admissible = floor = None
    if beta is not None:
        limit, floor = choices.admissible(parts.affine, parts.sigma2, parts.M, L, beta)
        admissible = scale * limit
        reasons.append(f"largest step size with a bound: {admissible:.4g}; half of it leaves |grad f|^2 <= {floor:.3g}")
    return Advice(step_size, admissible, L, estimated, B, C, floor, length, trials, [*reasons, *chosen])
