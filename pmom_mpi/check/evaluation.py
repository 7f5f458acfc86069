"""That `evaluate` returns sums with their weight, the same for any order of chunks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmom_mpi.check.finding import BAD, GOOD, NOTE, Finding, verdict
from pmom_mpi.check.subject import Subject, ask

CHUNKS = 3
"""Chunks that are looked at."""
MANY = 10
"""The weight from which on a sum can be told from a mean."""


def evaluation(subject: Subject) -> Iterator[Finding]:
    problem, x = subject.problem, subject.x
    if not problem.chunks:
        yield Finding("evaluate", NOTE, "nothing is evaluated: no chunks (is there a test split?)")
        return
    chunks, before = range(min(problem.chunks, CHUNKS)), x.copy()
    rows = [problem.evaluate(x, chunk) for chunk in chunks]
    names = tuple(metric.name for metric in problem.evaluation)
    fine = all(len(row) == len(names) + 1 and np.isfinite(row).all() and row[-1] > 0 for row in rows)
    yield verdict("evaluate", fine, f"{_shown(rows[0])} for {(*names, 'weight')}, chunk 0 of {problem.chunks}",
                  "needs finite sums in the order of the names, then a positive weight")  # fmt: skip
    yield verdict("x after evaluate", before.tobytes() == x.tobytes(), "unchanged", "changed: x is only to be read")
    fresh = subject.make("float64", subject.nodes[:0])
    again = [fresh.evaluate(x, chunk) for chunk in reversed(chunks)][::-1]
    yield verdict("other order of chunks", np.array(rows).tobytes() == np.array(again).tobytes(), "same bits",
                  "another answer: it depends on the chunks or gradients before, or on the hosted nodes")  # fmt: skip
    if fine:
        yield from _sums(subject, dict(zip((*names, "weight"), np.sum(rows, axis=0).tolist(), strict=True)))


def _sums(subject: Subject, sums: dict[str, float]) -> Iterator[Finding]:
    """Means that were returned for sums end up ``weight`` times too small beside the training metrics."""
    weight = sums["weight"]
    if not 0 <= sums.get("accuracy", 0.0) <= weight:
        yield Finding("accuracy", BAD, f"{sums['accuracy']:.4g} of {weight:.4g} samples are right: not a count")
    names = [metric.name for metric in subject.problem.metrics]
    trained = dict(zip(names, ask(subject.problem, subject.x, subject.nodes[0]).metrics, strict=True))
    for name in sorted(trained.keys() & sums.keys()):
        mean, train = sums[name] / weight, trained[name]
        if min(mean, train) <= 0 or weight < MANY:
            continue
        if abs(np.log(mean * weight / train)) < abs(np.log(mean / train)):
            text = f"{name} is {mean:.3g} on average but {train:.3g} in training: evaluate must return sums, not means"
            yield Finding("evaluate's sums", BAD, text)
        else:
            yield Finding("evaluate's sums", GOOD, f"{name} {mean:.4g} on average, {train:.4g} in training")


def _shown(row: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in row) + ")"
