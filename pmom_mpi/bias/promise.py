"""Whether measured errors break what an operator's theory promises, beyond the noise of the draws."""

from __future__ import annotations

import numpy as np

from pmom_mpi.bias.theory import Theory

SLACK = 1e-5
"""Relative excess that is rounding."""
SIGMAS = 5.0
"""So many standard errors above its bound a mean is no accident."""


def bound(theory: Theory) -> float | None:
    """The most that E|Q(g) - g|^2 / |g|^2 may be; None where nothing is promised.

    A contraction whose alpha is not known promises 1; of a composition only a positive alpha is a promise.

    Examples
    --------
    >>> from pmom_mpi.bias.theory import OTHER, contractive, unbiased
    >>> bound(contractive(0.25)), bound(contractive()), bound(unbiased(3.0)), bound(OTHER)
    (0.75, 1.0, 3.0, None)
    """
    if theory.family == "unbiased":
        return theory.omega
    if theory.family == "contractive":
        return 1.0 - (theory.alpha or 0.0)
    good = theory.family == "composition" and theory.alpha is not None and theory.alpha > 0
    return 1.0 - theory.alpha if good and theory.alpha is not None else None


def exceeds(most: float, errors: np.ndarray, even: bool = False) -> bool:
    """Whether the mean of these draws' errors (shape (draws,)) is above ``most``, beyond rounding and noise.

    Where one coordinate of g makes most of its norm and is seldom chosen, all draws may look alike by chance; so their
    noise is at least that of errors of 0 and 1 with the mean ``most``, unless g is ``even``. One or two draws are of an
    operator without randomness.

    Examples
    --------
    >>> exceeds(0.9, np.full(2, 0.91)), exceeds(0.99, np.ones(100)), exceeds(0.5, np.ones(100))
    (True, False, True)
    """
    mean, many = float(np.mean(errors)), errors.size
    if np.isnan(mean):
        return True
    random = many > 2
    own = float(np.std(errors)) if random else 0.0
    least = np.sqrt(most * max(0.0, 1.0 - most)) if random and not even else 0.0
    return bool(mean > most + SLACK * max(1.0, most) + SIGMAS * max(own, least) / np.sqrt(many))


def drifts(omega: float, away: float, draws: int) -> bool:
    """Whether the mean of so many draws is too far, ``away`` times |g|, from g for an unbiased operator."""
    noise = np.sqrt(omega / draws) if draws > 2 else 0.0
    return not bool(away <= SLACK + SIGMAS * noise)
