"""Whether an operator contracts, or is unbiased, as its theory says: measured on random and on awkward vectors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmom_mpi.bias.base import Feedback
from pmom_mpi.bias.compose import theory_of
from pmom_mpi.bias.promise import SIGMAS, SLACK, bound, drifts, exceeds
from pmom_mpi.bias.theory import Theory
from pmom_mpi.check.finding import BAD, GOOD, NOTE, Finding
from pmom_mpi.check.trial import DTYPES, EVEN, TIES, Trial, dense_of, during, message_of

DRAWS, FEWEST, ENTRIES = 200, 16, 4_000_000
"""Draws of a random operator: so many, fewer where d times them is more than ENTRIES."""
SHOWN = 3


def promises(trial: Trial) -> Iterator[Finding]:
    """The error against 1 - alpha or omega; the mean of the draws against g."""
    stages = trial.pipeline(DTYPES[0]).stages
    if any(isinstance(stage, Feedback) for stage in stages):
        yield Finding("theory", NOTE, "error feedback: no bound for a single message")
        return
    theory = theory_of(stages, trial.layout)
    most = bound(theory)
    if most is None:
        yield Finding("theory", NOTE, f"{theory.family}: promises no bound")
        return
    what = "unbiasedness" if theory.family == "unbiased" else "contraction"
    claim = f"|Q(g) - g|^2 <= {most:.4g} |g|^2"
    worst, wrong = 0.0, []
    for dtype in DTYPES:
        for name, vector in trial.vectors(dtype):
            if len(stages) > 1 and name.startswith(TIES):
                continue
            with during(name):
                found, error = _broken(trial, theory, most, vector, name)
            worst = max(worst, error)
            wrong += [f"{name}: {found}"] if found else []
    for text in wrong[:SHOWN]:
        yield Finding(what, BAD, f"{text}; theory says {claim}" + (", E Q(g) = g" if theory.omega is not None else ""))
    if len(wrong) > SHOWN:
        yield Finding(what, BAD, f"and of {len(wrong) - SHOWN} more vectors")
    if not wrong:
        yield Finding(what, GOOD, f"{claim} holds: at most {worst:.4g} was seen")


def _broken(trial: Trial, theory: Theory, most: float, vector: np.ndarray, name: str) -> tuple[str, float]:
    """What is wrong for this vector, if anything, and the mean error."""
    exact = vector.astype(np.float64)
    square = float(exact @ exact)
    seen = _draws(trial, vector)
    if square == 0.0:
        return ("Q(0) is not 0" if any(draw.any() for draw in seen) else ""), 0.0
    errors = np.array([np.sum((draw - exact) ** 2) for draw in seen]) / square
    error = float(np.mean(errors))
    if exceeds(most, errors, name.startswith(EVEN)):
        return f"the error is {error:.4g} |g|^2", error
    if theory.family != "unbiased":
        return "", error
    mean = np.mean(seen, axis=0)
    away = float(np.linalg.norm(mean - exact)) / np.sqrt(square)
    if drifts(max(most, error), away, len(seen)):
        return f"the mean of {len(seen)} draws is {away:.3g} |g| away from g", error
    return (_leans(exact, seen) if name.startswith("random") else ""), error


def _draws(trial: Trial, vector: np.ndarray) -> list[np.ndarray]:
    """Q(g) of several iterations, each as if it were the first; two where nothing is random."""
    pipeline = trial.pipeline(vector.dtype)
    draws = any(stage.stream is not None for stage in trial.stages)
    seen: list[np.ndarray] = []
    while len(seen) < max(FEWEST, min(DRAWS, ENTRIES // max(vector.size, 1))):
        pipeline.forget()
        dense = dense_of(message_of(pipeline, vector, 0, len(seen)), vector)
        seen.append(dense.astype(np.float64))
        if len(seen) == 2 and not draws and np.array_equal(seen[0], seen[1]):
            break
    return seen


def _leans(exact: np.ndarray, seen: list[np.ndarray]) -> str:
    """A small bias shows along g, its signs, and all ones, where the noise of single coordinates averages out."""
    for words, direction in (("g", exact), ("sign(g)", np.sign(exact)), ("ones", np.ones_like(exact))):
        along = np.array([(draw - exact) @ direction for draw in seen]) / (exact @ exact)
        noise = float(np.std(along)) / np.sqrt(len(seen)) if len(seen) > 2 else 0.0
        if abs(np.mean(along)) > SLACK + (SIGMAS + 1) * noise:
            return f"the mean of {len(seen)} draws leans along {words}: {np.mean(along):.3g}, noise {noise:.1g}"
    return ""
