"""The gradient against finite differences, in float64.

Along a direction u, (8 (f(x + hu) - f(x - hu)) - (f(x + 2hu) - f(x - 2hu))) / 12h is the slope up to O(h^4) and
rounding of order 1e-16 f / h; the first step that agrees counts, since a wrong gradient agrees at none. Directions are
half the gradient's own and half random, within one tensor, so that a wrong tensor shows by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pmom_mpi.check.finding import BAD, GOOD, NOTE, Finding
from pmom_mpi.check.subject import Subject, ask
from pmom_mpi.problems.base import Estimating
from pmom_mpi.words.streams import Stream, generator

TOLERANCE = 1e-6
STEPS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
CLOSER = (1e-7, 1e-8)
"""Steps that pass fewer kinks: taken where rounding leaves the digits that are asked for."""
NEGLIGIBLE = 1e-4
"""Slopes below this part of the gradient's norm are compared with it instead of with themselves."""
KINK, KINK_STEPS = 1e-3, (1e-5, 1e-6)
"""Where slopes to the left and to the right differ by this part at both steps, f has a kink."""
SMALL_STEPS = (2e-6, 4e-7)
"""Between these the two slopes of a smooth f come 5 times closer, those at a kink hardly do, however small it is."""
CANCELLED = 1e-3
"""A sum of two unit vectors that is shorter says nothing of either."""
SHOWN = 10
EPS = float(np.finfo(float).eps)


def derivatives(subject: Subject) -> Iterator[Finding]:
    """Node 0 tensor by tensor, the other nodes as a whole."""
    problem, x = subject.problem, subject.x
    if isinstance(problem, Estimating) and not problem.differentiates:
        text = f"an estimate, not the derivative of {problem.metrics[0].name} on the same draws: not compared"
        yield Finding("finite differences", NOTE, text)
        return
    bounds = problem.layout.offsets
    worst, kinks, wrong, directions = 0.0, 0, [], 0
    for node in subject.nodes:
        gradient = ask(problem, x, node).gradient
        parts = {"all tensors": slice(None)}
        if node == subject.nodes[0]:
            parts = {name: slice(bounds[t], bounds[t + 1]) for t, name in enumerate(problem.layout.names)}
        for name, part in parts.items():
            direction = _direction(gradient, part, generator(0, Stream.DATA, node, directions + 1))
            directions += 1
            error, text = _compare(
                _along(subject, node, direction), float(gradient @ direction), float(np.linalg.norm(gradient))
            )
            worst = max(worst, error if not text else 0.0)
            kinks += text == "kink"
            if text and text != "kink":
                wrong.append(Finding(f"finite differences, {name}", BAD, f"node {node}: {text}"))
    yield from wrong[:SHOWN]
    if len(wrong) > SHOWN:
        yield Finding("finite differences", BAD, f"and {len(wrong) - SHOWN} more directions of {directions}")
    if kinks:
        text = (
            f"{kinks} of {directions} directions meet a kink at x; there the gradient lies between the one-sided slopes"
        )
        yield Finding("kinks", NOTE, text)
    if not wrong:
        yield Finding(
            "finite differences", GOOD, f"{directions - kinks} directions, largest relative error {worst:.1e}"
        )


def _direction(gradient: np.ndarray, part: slice, random: np.random.Generator) -> np.ndarray:
    """A unit vector that lives in one part: the gradient's direction plus as much of a random one."""
    direction = np.zeros_like(gradient)
    draw = random.standard_normal(len(gradient[part]))
    size = np.linalg.norm(gradient[part])
    direction[part] = draw / np.linalg.norm(draw)
    # In a tensor of one element the two may cancel.
    if 0 < size < np.inf and np.linalg.norm(direction[part] + gradient[part] / size) > CANCELLED:
        direction[part] += gradient[part] / size
    return direction / np.linalg.norm(direction)


def _along(subject: Subject, node: int, direction: np.ndarray) -> Callable[[float], float]:
    """h -> f_node(x + h u), the first metric on the draws of iteration 0."""
    out = np.empty_like(direction)
    return lambda h: subject.problem.gradient(subject.x + h * direction, node, 0, out)[0]


def _compare(f: Callable[[float], float], predicted: float, norm: float) -> tuple[float, str]:
    """The relative error, and what is wrong: nothing, ``"kink"``, or a sentence."""
    best, measured = np.inf, np.nan
    for h in (*STEPS, *CLOSER):
        if h in CLOSER and 2 * EPS * abs(f(0.0)) / h > 0.1 * TOLERANCE * max(abs(predicted), NEGLIGIBLE * norm):
            break
        slope = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
        scale = max(abs(slope), abs(predicted), NEGLIGIBLE * norm)
        error = abs(slope - predicted) / scale if scale else 0.0
        if error < best:
            best, measured = error, slope
        if best <= TOLERANCE:
            return best, ""
    if _between(f, predicted):
        return best, "kink"
    hint = "; is the loss computed in single precision?" if best < 1e-3 else ""
    return best, f"slope {measured:.8g}, gradient {predicted:.8g}, relative error {best:.1e} > {TOLERANCE:.0e}{hint}"


def _between(f: Callable[[float], float], predicted: float) -> bool:
    """Whether f has a kink at x and the gradient is a slope between those to its left and right."""
    middle = f(0.0)

    def sides(h: float) -> tuple[float, float]:
        low, high = sorted(((middle - f(-h)) / h, (f(h) - middle) / h))
        return low, high

    def inside(low: float, high: float) -> bool:
        slack = KINK * (high - low)
        return low - slack <= predicted <= high + slack

    wide = [sides(h) for h in KINK_STEPS]
    if all(high - low > KINK * max(abs(low), abs(high)) for low, high in wide) and inside(*wide[-1]):
        return True
    far, near = (sides(h) for h in SMALL_STEPS)
    noise = 20 * EPS * abs(middle) / SMALL_STEPS[-1]
    return near[1] - near[0] > max(noise, (far[1] - far[0]) / 3) and inside(*near)
