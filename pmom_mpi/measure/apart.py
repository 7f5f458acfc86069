"""Bias and noise of a run, told apart: by repeated draws, or where stages remember, by the batches' variance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pmom_mpi.analysis import read
from pmom_mpi.analysis.bounds import diagnosed
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.theory.bias import Affine, envelope

REPEATS = 8
"""Draws at a point, beside the run's own."""


class Apart(NamedTuple):
    """What is known of eta = b + n, and from what.

    Attributes
    ----------
    affine : Affine
        |b|^2 <= B |grad f|^2 + C.
    M, sigma2 : float
        E|n|^2 <= M |grad f|^2 + sigma2.
    bias, noise : float
        Means of |b|^2 and of E|n|^2 over the diagnosed iterations.
    how : str
    """

    affine: Affine
    M: float
    sigma2: float
    bias: float
    noise: float
    how: str


def split(setting: Setting, seen: read.Run, again: Callable[[int], read.Run], random: bool) -> Apart:
    """Tell them apart.

    Parameters
    ----------
    setting : Setting
    seen : Run
        A diagnosed run.
    again : callable
        The same run, with so many repeated draws.
    random : bool
        Whether stages of the bias are.
    """
    known = diagnosed(seen)
    batches = np.maximum(seen.metrics["diag_variance"], 0)
    batches = batches[np.isfinite(batches)] / setting.config.nodes
    if not random and not batches.any():
        return _apart(known.gradient, known.bias, np.zeros_like(known.bias), "nothing is drawn by lot")
    if any(setting.pipeline.blank()):
        how = "by the batches' variance; what random operators add counts as bias, as stages remember"
        return _apart(known.gradient, known.bias - batches.mean(), batches, how)
    known = diagnosed(again(REPEATS))
    assert known.mean_bias is not None and known.noise is not None
    return _apart(known.gradient, known.mean_bias, known.noise, f"by {REPEATS} repeated draws")


def _apart(gradients: np.ndarray, biases: np.ndarray, noises: np.ndarray, how: str) -> Apart:
    """The biases are unbiased estimates of squares: some may come out below 0, their mean should not."""
    M, sigma2 = envelope(gradients, noises, np.inf)
    bias = max(float(biases.mean()), 0.0)
    return Apart(envelope(gradients, np.maximum(biases, 0)), M, sigma2, bias, float(noises.mean()), how)
