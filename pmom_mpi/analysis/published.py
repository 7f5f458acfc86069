"""The authors' published curves, and runs held against them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from pmom_mpi.errors import UserError

SEEDS = 5
ITERATIONS = 200


@cache
def _mnist() -> tuple[list[str], list[str], np.ndarray]:
    with (
        resources.as_file(resources.files("pmom_mpi.analysis") / "published" / "mnist.npz") as path,
        np.load(path) as file,
    ):
        return file["settings"].tolist(), file["columns"].tolist(), file["curves"]


def settings(patterns: Iterable[str] = ("*",)) -> list[str]:
    """The published MNIST settings that match any of the patterns (``top_k-*-beta0.1``), in their order.

    Raises
    ------
    UserError
        When a pattern matches nothing.

    Examples
    --------
    >>> settings(["clip_norm-1-*"])
    ['clip_norm-1-beta0.01', 'clip_norm-1-beta0.1', 'clip_norm-1-beta1']
    """
    names = _mnist()[0]
    chosen: set[str] = set()
    for pattern in patterns:
        found = fnmatch.filter(names, pattern)
        if not found:
            raise UserError(f"--setting {pattern}: no published setting matches; known: {', '.join(names)}")
        chosen.update(found)
    return [name for name in names if name in chosen]


def curve(setting: str, seed: int) -> dict[str, np.ndarray]:
    """Published train_loss, train_accuracy, test_loss, test_accuracy, each of shape (200,)."""
    names, columns, curves = _mnist()
    found = curves[names.index(setting), seed]
    return {column: found[:, place].astype(np.float64) for place, column in enumerate(columns)}


def config(setting: str, seed: int, iterations: int, output: str) -> dict[str, Any]:
    """The experiment of a published curve, as a config file would hold it."""
    method, _, beta = setting.rpartition("-beta")
    name, _, parameter = method.partition("-")
    stage: dict[str, Any] = {"kind": name}
    if name == "top_k":
        stage["k"] = int(parameter)
    elif name == "clip_norm":
        stage["tau"] = float(parameter)
    return {
        "name": setting,
        "seed": seed,
        "iterations": iterations,
        "step_size": 0.5,
        "momentum": {"kind": "ema", "beta": float(beta)},
        "problem": {"kind": "mlp", "hidden": [512, 512], "init": "pytorch"},
        "data": {"name": "mnist", "nodes": 100, "partition": "contiguous"},
        "gradient": {"batch": "full"},
        "bias": [stage],
        "evaluate": {"every": 1},
        "on_divergence": "continue",
        "output": output,
    }


def deviation(metrics: Mapping[str, np.ndarray], setting: str, seed: int) -> dict[str, float]:
    """The largest absolute difference between a run's metrics and the published ones, over the run's iterations.

    A value that is NaN in one of the two only counts as infinitely far away.
    """
    published = curve(setting, seed)
    return {name: _largest(np.asarray(metrics[name], np.float64), values) for name, values in published.items()}


def _largest(ours: np.ndarray, published: np.ndarray) -> float:
    published = published[: len(ours)]
    away = np.abs(ours - published)
    away[np.isnan(ours) != np.isnan(published)] = np.inf
    return float(np.nanmax(away)) if len(away) else 0.0
