"""Clipping and normalising: the direction stays, the length changes.

A gradient that holds NaN or an infinity comes out holding one, so that divergence is noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import UPLINK, Numbers, Stage, Step, Transform
from pmom_mpi.kernels.norms import clamp_in_place, divide_in_place, norm, norm_in_four_lanes, scale_in_place
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.report import Metric

CLIP_EPSILON = 1e-6
"""PyTorch's `clip_grad_norm_`, which the published runs used, divides by the norm plus this."""

ACTIVE = Metric("clip_active", "fraction of nodes whose clip changed the gradient")
THRESHOLD = Metric("clip_threshold", "mean over nodes of the norm above which gradients were clipped")

Threshold = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class ClipNorm(Transform):
    """g min(1, tau / (|g| + 1e-6)): the 2-norm of a node's gradient is at most tau.

    Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks".

    Parameters
    ----------
    tau : float > 0
        The largest norm that is left as it is.
    scope : {"global", "layer"}
        The norm of the whole gradient, or each tensor's own.

    Examples
    --------
    >>> from pmom_mpi.words.layout import Layout
    >>> gradient = np.array([3.0, 4.0])
    >>> ClipNorm(tau=1.0).apply(gradient, Step(0, 0, 0, Layout.flat(2)))
    (1.0,)
    >>> gradient.round(4)
    array([0.6, 0.8])
    """

    tau: Threshold
    scope: Literal["global", "layer"] = "global"
    statistics: ClassVar[tuple[Metric, ...]] = (ACTIVE,)

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        """Returns 1.0 when the clip changed the gradient (layer: the fraction of tensors it changed)."""
        parts = [gradient] if self.scope == "global" else _tensors(gradient, step)
        active = [self._clip(part) for part in parts]
        return (sum(active) / len(active),)

    def _clip(self, part: np.ndarray) -> bool:
        factor = self.tau / (norm(part) + CLIP_EPSILON)
        if factor >= 1.0:
            return False
        scale_in_place(part, factor)
        return True


@dataclass(frozen=True)
class ClipPerSample(Transform):
    """(1/m) sum_j g_j min(1, tau / |g_j|) over the batch's m samples: none moves the mean by more than tau / m.

    The first stage of a pipeline, for problems that can do it: they clip while they compute the gradient, from norms
    that cost no gradient of a single sample (mlp, softmax_regression; `pmom_mpi.kernels.per_sample`). The run file logs
    the fraction of samples clipped as ``train_samples_clipped``. With `gaussian_noise` by a ``multiplier`` behind it,
    DP-SGD: Abadi et al. 2016, "Deep learning with differential privacy".

    Parameters
    ----------
    tau : float > 0
        The largest norm of a sample's gradient.
    """

    tau: Threshold
    places: ClassVar[tuple[str, ...]] = (UPLINK,)

    def check(self, before: tuple[Stage, ...], layout: Layout, where: str) -> None:
        if before:
            raise UserError(f"{where}: clip_per_sample must be the first stage: samples are clipped before the mean")

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        """Nothing is left to do: the problem has been told (`sample_clip`)."""
        return ()


def sample_clip(stages: Sequence[Stage]) -> float | None:
    """The threshold of a pipeline's `ClipPerSample`, if it has one.

    Examples
    --------
    >>> sample_clip([ClipPerSample(tau=1.0), ClipNorm(tau=2.0)])
    1.0
    """
    return next((stage.tau for stage in stages if isinstance(stage, ClipPerSample)), None)


@dataclass(frozen=True)
class ClipValue(Transform):
    """Every finite entry is clamped to [-tau, tau].

    Parameters
    ----------
    tau : float > 0
        The largest magnitude that is left as it is.
    """

    tau: Threshold
    statistics: ClassVar[tuple[Metric, ...]] = (ACTIVE,)

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        """Returns 1.0 when any entry was outside."""
        return (float(clamp_in_place(gradient, self.tau) > 0),)


@dataclass(frozen=True)
class ClipSmooth(Transform):
    """g tau / (tau + |g|): near g for small gradients, of norm below tau for all; nothing switches at a threshold.

    Parameters
    ----------
    tau : float > 0
        The bound of the norm.
    """

    tau: Threshold

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        scale_in_place(gradient, self.tau / (self.tau + norm(gradient)))
        return ()


@dataclass(frozen=True)
class ClipAdaptive(Transform):
    """Clips to a quantile of the norms that this node's gradients had of late, the present one included.

    AutoClip of Seetharaman, Wichern, Pardo, Le Roux 2020, "AutoClip: adaptive gradient clipping for source separation
    networks", with a window instead of the whole history. Norms that are not finite are not remembered.

    Parameters
    ----------
    quantile : float in [0, 1]
        0.1 clips to the 10 % quantile; linear between the neighbouring norms.
    window : int > 0
        How many norms are remembered.
    """

    quantile: Annotated[float, Field(ge=0, le=1)] = 0.1
    window: Annotated[int, Field(gt=0)] = 100
    statistics: ClassVar[tuple[Metric, ...]] = (ACTIVE, THRESHOLD)

    def init(self, layout: Layout, dtype: np.dtype) -> Memory:
        return {"norms": np.zeros(self.window), "seen": np.zeros(1, np.int64)}

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        """Returns whether the gradient was clipped, and the threshold."""
        length = norm(gradient)
        if not np.isfinite(length):
            return 0.0, float("nan")
        tau = float(np.quantile(self._remember(length, step), self.quantile))
        if length > tau:
            scale_in_place(gradient, tau / length)
        return float(length > tau), tau

    def _remember(self, length: float, step: Step) -> np.ndarray:
        """The norms of the window, in no particular order."""
        norms, seen = step.memory["norms"], step.memory["seen"]
        norms[seen[0] % self.window] = length
        seen[0] += 1
        return norms[: seen[0]]


@dataclass(frozen=True)
class Normalize(Transform):
    """g / |g|: each tensor by its own 2-norm, as published, or the whole gradient; zeros stay zero.

    Parameters
    ----------
    scope : {"tensor", "global"}
        Each tensor by its own norm, or all by the whole gradient's.
    sums : {"exact", "published"}
        How squares are summed: in float64, or in the gradient's own type in four lanes. The latter makes norms of large
        float32 tensors too small, by about 1.5e-5, and is what the published runs were found to have done
        (docs/reproduction.md).
    """

    scope: Literal["tensor", "global"] = "tensor"
    sums: Literal["exact", "published"] = "exact"

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        measure = norm if self.sums == "exact" else norm_in_four_lanes
        for part in [gradient] if self.scope == "global" else _tensors(gradient, step):
            length = measure(part)
            if length != 0.0:  # NaN divides too
                divide_in_place(part, _divisor(length, part.dtype))
        return ()


def _divisor(length: float, dtype: np.dtype) -> np.floating:
    """``length`` in the gradient's type, or in float64 where that type would lose it."""
    info = np.finfo(dtype)
    fits = float(info.tiny) <= length <= float(info.max)
    return dtype.type(length) if fits else np.float64(length)


def _tensors(gradient: np.ndarray, step: Step) -> list[np.ndarray]:
    bounds = step.layout.offsets
    return [gradient[bounds[t] : bounds[t + 1]] for t in range(len(bounds) - 1)]
