"""What stages promise together, and which pipelines need a word of warning.

A sparsifier's promise is that of a projection P, |P g|^2 >= alpha |g|^2; behind it a quantizer sees P g only. So, with
a factor c before them and the errors orthogonal:

    unbiased of variance omega:  E|Q(c P g) - g|^2 <= (1 - alpha c (2 - c (1 + omega))) |g|^2
    contractive with alpha' :    |Q(P g) - g|^2 <= (1 - alpha alpha') |g|^2

Two unbiased stages have variance (1 + omega) (1 + omega') - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pmom_mpi.bias.base import DOWNLINK, Feedback, Quantizer, Stage, sparsifier_of
from pmom_mpi.bias.noise import constant_noise
from pmom_mpi.bias.order import kind_of
from pmom_mpi.bias.theory import Theory, contractive, scaling, unbiased
from pmom_mpi.words.layout import Layout


def theory_of(stages: Sequence[Stage], layout: Layout) -> Theory:
    """What stages that stand one behind the other promise together; a single one speaks for itself.

    Examples
    --------
    >>> from pmom_mpi.bias.natural import Natural
    >>> from pmom_mpi.bias.top_k import TopK
    >>> theory_of([TopK(k=1), Natural()], Layout.flat(4))
    Theory(family='composition', alpha=0.21875, omega=None, factor=None)
    """
    if not stages:
        return scaling(1.0)
    known = _each(stages, layout)
    return known[0] if len(known) == 1 else _together(known)


def unbiased_omega(stages: Sequence[Stage], layout: Layout) -> float | None:
    """The variance of the unbiased stages among these, together; None where there are none."""
    omegas = [theory.omega for theory in _each(stages, layout) if theory.omega is not None]
    return math.prod(1 + omega for omega in omegas) - 1 if omegas else None


def _each(stages: Sequence[Stage], layout: Layout) -> list[Theory]:
    """Every stage's theory; a quantizer's behind a sparsifier is that for as many values as the sparsifier keeps."""
    sparsifier = sparsifier_of(stages)
    kept = layout if sparsifier is None else Layout.flat(sparsifier.keeps(layout))
    return [stage.theory(kept if isinstance(stage, Quantizer) else layout) for stage in stages]


def _together(known: list[Theory]) -> Theory:
    c = math.prod(theory.factor for theory in known if theory.factor is not None)
    rest = [theory for theory in known if theory.factor is None]
    omega = math.prod(1 + theory.omega for theory in rest if theory.omega is not None) - 1
    alphas = [theory.alpha for theory in rest if theory.family == "contractive"]
    alpha = None if None in alphas else math.prod(a for a in alphas if a is not None)
    gain = c * (2 - c * (1 + omega))
    if len(alphas) + sum(theory.omega is not None for theory in rest) < len(rest) or (omega and _coded(rest)):
        return Theory("composition", gain if gain <= 0 else None)  # transforms and others: no bound but the worst case
    if not omega:
        return _scaled(alpha, c)
    if not alphas and c == 1:
        return unbiased(omega)
    return Theory("composition", gain if alpha is None or gain <= 0 else alpha * gain)


def _coded(rest: list[Theory]) -> bool:
    """Whether the last is a contraction behind an unbiased stage: their errors are not orthogonal."""
    return rest[-1].family == "contractive"


def _scaled(alpha: float | None, c: float) -> Theory:
    """c g before a contraction Q: |Q(c g) - g| <= (c sqrt(1 - alpha) + |1 - c|) |g|."""
    if alpha is None or c == 1:
        return contractive(alpha) if c <= 1 else Theory("composition")
    left = 1 - (c * math.sqrt(1 - alpha) + abs(1 - c)) ** 2
    return contractive(left) if left > 0 else Theory("composition")


def warnings(stages: Sequence[Stage], layout: Layout, where: str, uneven: bool = False) -> list[str]:
    """What is not forbidden and hardly meant, a line each.

    That is error feedback (and EF21-P) around what is no contraction, and noise for privacy that ignores the batch.

    Parameters
    ----------
    stages : sequence of Stage
        Of one pipeline, as they are applied (`Pipeline.stages`).
    layout : Layout
    where : {"bias", "downlink"}
        The pipeline's place.
    uneven : bool
        Whether gradients are means over batches of different sizes.
    """
    place = constant_noise(tuple(stages)) if uneven else None
    if place is None:
        return _no_contraction(stages, layout, where)
    return [
        f"warning: {where}[{place}].sigma is the same for every batch, but not all batches have the same size: for "
        "privacy give multiplier instead, whose sigma is multiplier tau / m for a batch of m",
        *_no_contraction(stages, layout, where),
    ]


def _no_contraction(stages: Sequence[Stage], layout: Layout, where: str) -> list[str]:
    feedback = next((place for place, stage in enumerate(stages) if isinstance(stage, Feedback)), None)
    if where != DOWNLINK and feedback is None:
        return []
    inside = stages if feedback is None else stages[feedback + 1 :]
    theory = theory_of(inside, layout)
    if theory.contracts is not False:
        return []
    name = "EF21-P" if feedback is None else kind_of(stages[feedback])
    what = " -> ".join(map(kind_of, inside))
    many = theory.omega if theory.omega is not None else 1 - (theory.alpha or 0.0)
    return [
        f"warning: {where}: {name} needs a contraction, and {what} is none: its error may be "
        f"{many:.3g} times what it is given (squared norms), so the run may diverge; "
        f"{{kind: scale, factor: auto}} {'first' if feedback is None else 'behind ' + name} makes it one"
    ]
