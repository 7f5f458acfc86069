"""Shapes and types of what a problem answers, and that equal questions get equal answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmom_mpi.check.finding import GOOD, NOTE, Finding, verdict
from pmom_mpi.check.subject import Subject, ask

CLOSE = 1e-2
"""The relative difference between gradients in float32 and float64 from which on it is worth a note."""


def start(subject: Subject) -> Iterator[Finding]:
    """x^0 and the layout."""
    problem = subject.problem
    dimension = problem.layout.dimension
    yield verdict(
        "layout", dimension > 0 and len(problem.layout.names) == len(problem.layout.shapes),
        f"d = {dimension:,} in {len(problem.layout.shapes)} tensors", "needs a name and a shape for each tensor",
    )  # fmt: skip
    point = problem.initial_point()
    known = point.copy()
    yield verdict(
        "x^0", point.shape == (dimension,) and point.dtype == np.float64 and bool(np.isfinite(point).all()),
        f"shape {point.shape}, {point.dtype}", f"needs shape ({dimension},), the context's dtype, finite numbers",
    )  # fmt: skip
    point += 1.0  # as the server's step would
    again = problem.initial_point()
    yield verdict("x^0 again", known.tobytes() == again.tobytes(), "the same point, in memory of its own",
                  "not so: the server changes what it gets, so return a new array each time")  # fmt: skip


def gradient(subject: Subject) -> Iterator[Finding]:
    """What `gradient` returns, writes, and leaves alone."""
    problem, x, node = subject.problem, subject.x, subject.nodes[0]
    before = x.copy()
    first = ask(problem, x, node)
    names = tuple(metric.name for metric in problem.metrics)
    yield verdict("metrics", isinstance(first.metrics, tuple) and len(first.metrics) == len(names),
                  f"{first.metrics!r} for {names}", "needs a tuple with a number a name")  # fmt: skip
    finite = bool(np.isfinite(first.gradient).all() and np.isfinite(first.metrics).all())
    yield verdict("gradient", finite, f"norm {np.linalg.norm(first.gradient):.4g} at node {node}",
                  "not finite, or some entries of out were not written")  # fmt: skip
    yield verdict("gradient overwrites", ask(problem, x, node, before=1e3) == first, "whatever was in out",
                  "not so: the answer depends on what out holds before; write, do not add")  # fmt: skip
    yield verdict("x after gradient", before.tobytes() == x.tobytes(), "unchanged", "changed: x is only to be read")


def determinism(subject: Subject) -> Iterator[Finding]:
    """Equal (seed, node, iteration), equal bits: whatever was asked before, wherever the node lives."""
    problem, x = subject.problem, subject.x
    first, last = subject.nodes[0], subject.nodes[-1]
    here, there = ask(problem, x, first), ask(problem, x, last)
    yield verdict("same question twice", ask(problem, x, first) == here, "same bits",
                  "another answer: draw random numbers from pmom_mpi.words.streams only")  # fmt: skip
    ask(problem, x, last, 1)
    ask(problem, x, first, 1)
    swapped = (ask(problem, x, last), ask(problem, x, first)) == (there, here)
    yield verdict("other order of nodes", swapped, "same bits",
                  "another answer: something is carried over from one node or iteration to the next")  # fmt: skip
    elsewhere = subject.make("float64", range(last, last + 1))
    yield verdict("on another rank", ask(elsewhere, x, last) == there, "same bits",
                  "another answer: it depends on which nodes this rank hosts")  # fmt: skip


def single_precision(subject: Subject) -> Iterator[Finding]:
    """The same gradient in float32."""
    problem = subject.make("float32", subject.nodes)
    point, node = problem.initial_point(), subject.nodes[0]
    yield verdict("x^0 in float32", point.dtype == np.float32, str(point.dtype), "needs the context's dtype")
    x = subject.x.astype(np.float32)
    single, double = ask(problem, x, node).gradient, ask(subject.problem, x.astype(np.float64), node).gradient
    away = float(np.linalg.norm(single - double) / max(np.linalg.norm(double), np.finfo(np.float64).tiny))
    state = GOOD if away <= CLOSE else NOTE
    yield Finding("gradient in float32", state, f"relative difference to float64 {away:.1e}")
