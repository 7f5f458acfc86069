"""The authors' published curves, and runs held against them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from pmom_mpi.words.errors import UserError

SEEDS = 5
CHECKPOINT_SECONDS = 60
"""Between what is saved of a run, so that it goes on where it was stopped."""


@dataclass(frozen=True)
class Figure:
    """What the published experiments on one data set have in common.

    Attributes
    ----------
    file : str
        Their curves: of every seed (``mnist``), or mean and standard deviation over the seeds (``fashion``).
    iterations : int
    default : str
        The setting that is run unless told otherwise.
    experiment : dict
        Keys of their configs.
    """

    file: str
    iterations: int
    default: str
    experiment: dict[str, Any]


FIGURES = {
    "mnist": Figure(
        "mnist.npz",
        200,
        "top_k-67000-beta0.1",
        {
            "step_size": 0.5,
            "problem": {"kind": "mlp", "hidden": [512, 512], "init": "pytorch"},
            "data": {"name": "mnist", "nodes": 100, "partition": "contiguous"},
        },
    ),
    "fashion": Figure(
        "fashion_resnet18.npz",
        300,
        "top_k-111816-beta0.1",
        {
            "step_size": 0.3,
            "problem": {
                "kind": "torch",
                "model": "pmom_mpi.problems.torch_resnet:resnet18",
                "input_shape": [1, 28, 28],
                "augment": "flip",
                "augment_evaluation": True,
            },
            "data": {"name": "fashion-mnist", "nodes": 100, "partition": "contiguous"},
        },
    ),
}


@cache
def _read(what: str) -> tuple[list[str], list[str], np.ndarray]:
    with (
        resources.as_file(resources.files("pmom_mpi.analysis") / "published" / FIGURES[what].file) as path,
        np.load(path) as file,
    ):
        return file["settings"].tolist(), file["columns"].tolist(), file["curves"]


def settings(patterns: Iterable[str] = ("*",), what: str = "mnist") -> list[str]:
    """The published settings of a figure (a key of `FIGURES`) that match any of the patterns, in their order.

    Raises
    ------
    UserError
        When a pattern matches nothing.

    Examples
    --------
    >>> settings(["clip_norm-1-*"])
    ['clip_norm-1-beta0.01', 'clip_norm-1-beta0.1', 'clip_norm-1-beta1']
    """
    names = _read(what)[0]
    chosen: set[str] = set()
    for pattern in patterns:
        found = fnmatch.filter(names, pattern)
        if not found:
            raise UserError(f"--setting {pattern}: no published setting matches; known: {', '.join(names)}")
        chosen.update(found)
    return [name for name in names if name in chosen]


def curve(setting: str, seed: int, what: str = "mnist") -> dict[str, np.ndarray]:
    """Published train_loss, train_accuracy, test_loss, test_accuracy, each of shape (iterations,).

    Of the seed, or for ``fashion``, where only that was published, the mean over the seeds.
    """
    found = _columns(setting, seed, what)
    return {name.removesuffix("_mean"): values for name, values in found.items() if not name.endswith("_std")}


def _columns(setting: str, seed: int, what: str) -> dict[str, np.ndarray]:
    names, columns, curves = _read(what)
    found = curves[names.index(setting)]
    rows = found[seed] if found.ndim == 3 else found
    return dict(zip(columns, rows.T.astype(np.float64), strict=True))


def config(
    setting: str, seed: int, iterations: int, output: str, what: str = "mnist", plain: bool = False
) -> dict[str, Any]:
    """The experiment of a published curve, as a config file would hold it.

    ``plain`` evaluates test samples as they are where the published runs augmented them; the path of x is the same.
    """
    method, _, beta = setting.rpartition("-beta")
    name, _, parameter = method.partition("-")
    stage: dict[str, Any] = {"kind": name}
    if name == "top_k":
        stage["k"] = int(parameter)
    elif name == "clip_norm":
        stage["tau"] = float(parameter)
    elif name == "normalize" and what == "mnist":  # found out from these curves; unknown for the others
        stage["sums"] = "published"
    experiment = FIGURES[what].experiment
    if plain:
        problem = {key: value for key, value in experiment["problem"].items() if key != "augment_evaluation"}
        experiment = experiment | {"problem": problem}
    return {
        "name": setting,
        "seed": seed,
        "iterations": iterations,
        **experiment,
        "momentum": {"kind": "ema", "beta": float(beta)},
        "gradient": {"batch": "full"},
        "bias": [stage],
        "evaluate": {"every": 1},
        "checkpoint": {"seconds": CHECKPOINT_SECONDS},
        "on_divergence": "continue",
        "output": output,
    }


def setting(raw: Mapping[str, Any]) -> str:
    """The name of the published setting that a config's bias and momentum are, whatever its step size.

    Examples
    --------
    >>> setting(config("top_k-67000-beta0.1", 0, 3, "x.h5"))
    'top_k-67000-beta0.1'
    """
    (stage,) = raw["bias"]
    value = stage.get("k", stage.get("tau"))
    parts = [stage["kind"], *([] if value is None else [f"{value:g}" if isinstance(value, float) else str(value)])]
    return f"{'-'.join(parts)}-beta{float(raw['momentum']['beta']):g}"


@dataclass(frozen=True, eq=False)
class Published:
    """A published metric over some seeds, arrays of shape (iterations,).

    Attributes
    ----------
    mean : ndarray
    low, high : ndarray
        Lowest and highest of the seeds, or where only mean and standard deviation were published one deviation away.
    diverged, seeds : int
        How many of how many seeds came to NaN; they are left out here, not in the published means, which skip a NaN
        loss and keep the accuracy of the dead model. Of ``fashion`` nobody knows: 0.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    diverged: int
    seeds: int


def band(name: str, metric: str, seeds: Sequence[int], what: str = "mnist", iterations: int | None = None) -> Published:
    """A metric of a published setting over some seeds; of ``fashion``, where nothing else is known, over all five.

    Where none of the seeds was published, or all came to NaN, over all of them.
    """
    if _read(what)[2].ndim == 3:
        columns = {name: values[:iterations] for name, values in _columns(name, 0, what).items()}
        mean, std = columns[f"{metric}_mean"], columns[f"{metric}_std"]
        return Published(mean, mean - std, mean + std, 0, SEEDS)
    found = [curve(name, seed, what) for seed in (seeds or range(SEEDS))]
    sound = [each for each in found if not np.isnan(each["train_loss"][:iterations]).any()] or found
    values = np.stack([each[metric][:iterations] for each in sound])
    diverged = sum(bool(np.isnan(each["train_loss"][:iterations]).any()) for each in found)
    return Published(values.mean(axis=0), values.min(axis=0), values.max(axis=0), diverged, len(found))


def deviation(metrics: Mapping[str, np.ndarray], setting: str, seed: int, what: str = "mnist") -> dict[str, float]:
    """The largest absolute difference between a run's metrics and the published ones, over the run's iterations.

    For ``fashion``, the largest distance from the published mean, in published standard deviations of that iteration.
    A value that is NaN in one of the two only counts as infinitely far away.
    """
    published, unit = curve(setting, seed, what), _columns(setting, seed, what)
    return {
        name: _largest(np.asarray(metrics[name], np.float64), values, unit.get(f"{name}_std", np.ones_like(values)))
        for name, values in published.items()
    }


def _largest(ours: np.ndarray, published: np.ndarray, unit: np.ndarray) -> float:
    published = published[: len(ours)]
    away = np.abs(ours - published) / unit[: len(ours)]
    away[np.isnan(ours) != np.isnan(published)] = np.inf
    return float(np.nanmax(away)) if len(away) else 0.0
