"""Every compressor with keys worth comparing, as a config's ``bias`` section would say it."""

from __future__ import annotations

from typing import Any

import numpy as np

Stages = list[dict[str, Any]]

SAMPLE = 100_000
"""Entries that the thresholds are taken from."""

COMPRESSORS: list[Stages] = [
    [{"kind": "none"}],
    *([{"kind": "top_k", "fraction": fraction}] for fraction in (0.001, 0.01, 0.1)),
    [{"kind": "top_k", "fraction": 0.01, "scope": "layer"}],
    [{"kind": "top_k", "fraction": 0.01}, {"kind": "cast", "dtype": "bfloat16"}],
    [{"kind": "top_k", "fraction": 0.01}, {"kind": "qsgd"}],
    [{"kind": "adaptive_threshold", "fraction": 0.01}],
    [{"kind": "rand_k", "fraction": 0.01}],
    [{"kind": "rand_k", "fraction": 0.01, "scale": "unbiased"}],
    [{"kind": "scaled_sign"}],
    [{"kind": "scaled_sign", "scope": "layer"}],
    [{"kind": "sign_majority"}],
    [{"kind": "qsgd"}],
    [{"kind": "qsgd", "norm": "linf"}],
    [{"kind": "qsgd", "entropy": True}],
    [{"kind": "natural"}],
    [{"kind": "natural", "rounding": "nearest"}],
    [{"kind": "terngrad"}],
    *([{"kind": "cast", "dtype": dtype}] for dtype in ("float16", "bfloat16", "fp8")),
    [{"kind": "power_sgd", "rank": 2}],
]


def compressors(gradient: np.ndarray) -> list[Stages]:
    """All of them; the hard threshold is the magnitude that 1 % of this gradient's entries exceed."""
    return [*COMPRESSORS, [{"kind": "threshold", "tau": quantile(gradient, 0.99)}]]


def clips(gradient: np.ndarray) -> list[Stages]:
    """What changes a gradient and sends it whole, with thresholds that this gradient reaches."""
    half = 0.5 * float(np.linalg.norm(gradient)) or 1.0
    return [
        [{"kind": "clip_norm", "tau": half}],
        [{"kind": "clip_norm", "tau": half, "scope": "layer"}],
        [{"kind": "clip_value", "tau": quantile(gradient, 0.99)}],
        [{"kind": "clip_smooth", "tau": half}],
        [{"kind": "normalize"}],
        [{"kind": "normalize", "scope": "global"}],
    ]


def quantile(gradient: np.ndarray, part: float) -> float:
    """The magnitude below which ``part`` of the entries lie, from a sample; 1 where that is zero."""
    sample = gradient[:: max(1, gradient.size // SAMPLE)]
    return float(f"{np.quantile(np.abs(sample), part):.3g}") or 1.0


def label(stages: Stages) -> str:
    """A pipeline's name in tables.

    Examples
    --------
    >>> label([{"kind": "top_k", "fraction": 0.01, "scope": "layer"}, {"kind": "qsgd", "levels": 3, "entropy": True}])
    'top_k 1 % layer + qsgd levels 3 entropy'
    """
    return " + ".join(" ".join(_word(key, value) for key, value in stage.items()) for stage in stages)


def _word(key: str, value: Any) -> str:
    if key == "fraction":
        return f"{100 * value:g} %"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return key if value else f"no {key}"
    return f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
