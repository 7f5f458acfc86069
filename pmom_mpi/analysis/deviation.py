"""A mean and its deviation over seeds as a text, in which both end with the same digit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

DIGITS = 5
"""Significant digits of a mean, at most one more beside a deviation."""
PLAIN = range(-4, 6)
"""Decimal exponents of numbers that are written without one."""


def mean_and_deviation(values: Sequence[float]) -> str:
    """The mean ± the sample standard deviation, whose two leading digits say how many are shown; empty without values.

    Examples
    --------
    >>> mean_and_deviation([0.91, 0.94, 0.92]), mean_and_deviation([0.5]), mean_and_deviation([0.5, 0.5])
    ('0.923 ± 0.015', '0.5', '0.50000 ± 0.00000')
    >>> mean_and_deviation([1.5e-7, 1.7e-7]), mean_and_deviation([1200, 1410])
    ('(1.60 ± 0.14)e-07', '1305 ± 148')
    """
    if not len(values):
        return ""
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.{DIGITS}g}"
    deviation = float(np.std(values, ddof=1))
    if not (math.isfinite(mean) and math.isfinite(deviation)):
        return f"{mean:.{DIGITS}g} ± {deviation:.2g}"
    leading = max(_exponent(mean), _exponent(deviation))
    least = _exponent(deviation) - 1 if deviation else leading - DIGITS
    shown = leading - max(least, leading - DIGITS)
    if leading in PLAIN:
        decimals = max(0, shown - leading)
        return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"
    scale = 10.0**leading
    return f"({mean / scale:.{shown}f} ± {deviation / scale:.{shown}f})e{leading:+03d}"


def _exponent(value: float) -> int:
    """That of the leading digit: 2 of 123."""
    return math.floor(math.log10(abs(value))) if value else 0
