"""Worst cases beside bounds, as a table: of given constants, or of a diagnosed run's."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from pmom_mpi.analysis import bounds, read
from pmom_mpi.analysis.tables import Table
from pmom_mpi.theory import lyapunov, noise, noisy, nonconvex, pl, tight
from pmom_mpi.theory.bias import Affine, envelope
from pmom_mpi.theory.diagnosed import Diagnosed
from pmom_mpi.theory.live import examine
from pmom_mpi.theory.tight import Setting
from pmom_mpi.words.errors import UserError


@dataclass(frozen=True)
class Constants:
    """L, mu, gamma, beta, B, C and f(x^0) - f*; None where not known.

    ``sigma2`` is of the noise, and ``mean`` B and C of the mean bias where both are known apart.
    """

    smoothness: float | None
    pl: float | None
    step_size: float | None
    beta: float | None
    B: float | None
    C: float | None
    gap: float | None
    sigma2: float | None = None
    mean: Affine | None = None

    def setting(self, iterations: int) -> Setting:
        """For K iterations; raises `UserError` where a constant is missing that has no default."""
        if self.smoothness is None or self.step_size is None or self.beta is None:
            needed = {"-L": self.smoothness, "--step-size": self.step_size, "--beta": self.beta}
            missing = ", ".join(name for name, value in needed.items() if value is None)
            raise UserError(f"{missing}: not known; give a number")
        gap = 1.0 if self.gap is None else self.gap
        return Setting(self.smoothness, self.step_size, self.beta, self.B or 0.0, self.C or 0.0, iterations, gap)


def diagnosed(path: str, told: Constants) -> Diagnosed:
    """The run in ``path``."""
    return bounds.diagnosed(read.load(path), told.smoothness)


def known(found: Diagnosed, told: Constants) -> Constants:
    """The constants of a diagnosed run, but for those that are told."""
    promise = examine(found)
    gap = found.value[0] - (0.0 if found.minimum is None else found.minimum)
    run = Constants(promise.smoothness, found.pl, found.step_size, found.beta, *promise.affine, float(gap))
    if found.noise is not None and found.mean_bias is not None:
        mean = envelope(found.gradient, found.mean_bias.clip(min=0))
        run = replace(run, sigma2=float(found.noise.mean()), mean=mean)
    given = {one.name: value for one in fields(told) if (value := vars(told)[one.name]) is not None}
    return replace(run, **given)


def tables(constants: Constants, iterations: int, best: bool) -> list[Table]:
    """The worst cases after K iterations and in the end, beside the bounds; and the method that has the least."""
    setting = constants.setting(iterations)
    method = {"smoothness": setting.smoothness, "step_size": setting.step_size, "beta": setting.beta, "B": setting.B}
    start = method | {"gap": setting.gap, "first_bias": setting.largest_first_bias(), "C": setting.C}
    mean, K, mu = "mean of |grad f|^2", f", K = {iterations}", constants.pl
    rows = [
        (mean + K, _number(tight.average(setting).value), _bound(nonconvex.bound, iterations, start)),
        (mean + ", in the end (at most)", _number(_times(setting.C, lyapunov.average_floor(**method))),
         _bound(nonconvex.bound, 10**12, start)),
    ]  # fmt: skip
    if mu is not None:
        promised = _bound(pl.bound, iterations, start | {"pl": mu})
        limit = _bound(pl.bound, 10**12, start | {"pl": mu})
        floor = _times(setting.C, lyapunov.last_floor(pl=mu, **method))
        rows += [
            (f"f - f*{K}, strongly convex", _number(tight.last(setting, mu, convex=True).value), promised),
            (f"f - f*{K}, PL (at most)", _number(tight.last(setting, mu).value), promised),
            ("f - f* in the end, PL (at most)", _number(floor), limit),
        ]
    if mu is not None and constants.sigma2 is not None:
        rows += _noisy(setting, mu, constants.sigma2, constants.mean or Affine(setting.B, setting.C))
    made = [Table(_title(setting, mu), ("what", "worst case", "bound"), tuple(rows))]
    return [*made, _best(setting, mu)] if best else made


def _noisy(setting: Setting, mu: float, sigma2: float, mean: Affine) -> list[tuple[str, str, str]]:
    """Floors of the mean of f - f* with noise apart from bias."""
    method = {"smoothness": setting.smoothness, "pl": mu, "step_size": setting.step_size, "beta": setting.beta}
    apart = mean._asdict() | {"sigma2": sigma2}
    promised = _bound(noise.pl_bound, 10**12, method | apart | {"gap": 0.0, "first_bias": 0.0})
    title = f"noise apart (sigma^2 = {sigma2:.3g}, B = {mean.B:.3g}, C = {mean.C:.3g}), mean f - f* in the long run"
    floors = [_number(noisy.mean_floor(**method, **apart, convex=convex)) for convex in (True, False)]
    names = f"{title}, strongly convex (at most)", "the same, PL (at most)"
    return [(name, value, promised) for name, value in zip(names, floors, strict=True)]


def _best(setting: Setting, mu: float | None) -> Table:
    def average(one: Setting) -> float:
        return tight.average(one).value

    def last(one: Setting) -> float:
        return tight.last(one, mu or 0.0, convex=True).value

    asked = [("mean of |grad f|^2", average)] + ([("f - f*, strongly convex", last)] if mu is not None else [])
    rows = []
    for name, worst in asked:
        for who, (value, found) in (
            ("any beta", tight.best(worst, setting)),
            ("SGD", tight.best_step_size(worst, replace(setting, beta=1.0))),
        ):
            rows.append((f"{name}: {who}", _number(found.beta), _number(found.step_size), _number(value)))
    return Table("with the least worst case", ("what", "beta", "gamma", "worst case"), tuple(rows))


def _title(setting: Setting, mu: float | None) -> str:
    numbers = {"L": setting.smoothness, "mu": mu, "gamma": setting.step_size, "beta": setting.beta, "B": setting.B,
               "C": setting.C, "f(x^0) - f*": setting.gap}  # fmt: skip
    return ", ".join(f"{name} = {value:.4g}" for name, value in numbers.items() if value is not None)


def _bound(bound, iterations: int, start: dict[str, float]) -> str:
    try:
        return _number(float(bound(iterations, **start)))
    except UserError:  # too large a step, or B
        return "none"


def _times(C: float, floor: float) -> float:
    return 0.0 if C == 0 and floor < float("inf") else C * floor


def _number(value: float) -> str:
    return "none" if value == float("inf") else f"{value:.4g}"
