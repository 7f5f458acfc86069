"""Which stages may stand where: what a pipeline refuses, one line each, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

from pmom_mpi.bias.base import DOWNLINK, Feedback, Quantizer, Sparsifier, Stage, Transform
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout

ROLES: tuple[type[Stage], ...] = (Transform, Feedback, Sparsifier, Quantizer)


def checked(stages: Sequence[object], layout: Layout, where: str) -> tuple[Stage, ...]:
    """The stages, as they are to be applied; raises `UserError` when their order makes no sense or one cannot work."""
    known = tuple(_stage(stage, f"{where}[{place}]") for place, stage in enumerate(stages))
    _check_order(known, where)
    for place, stage in enumerate(known):
        stage.check(known[:place], layout, f"{where}[{place}]")
    settled: tuple[Stage, ...] = ()
    for place in reversed(range(len(known))):
        settled = (known[place].settled(known[:place], settled, layout, f"{where}[{place}]"), *settled)
    return settled


def kind_of(stage: object) -> str:
    """What a config calls a stage's class: ``top_k``, or ``my_module:MyClass``."""
    name = f"{type(stage).__module__}:{type(stage).__qualname__}"
    return next((kind for kind, target in registry.BIAS.items() if target == name), name)


def _stage(stage: object, where: str) -> Stage:
    if isinstance(stage, ROLES):
        return stage
    roles = ", ".join(role.__name__ for role in ROLES)
    raise UserError(f"{where}: {kind_of(stage)} must derive from one of pmom_mpi.bias.base's {roles}")


def _rank(stage: Stage) -> int:
    """What may follow what: transforms, feedback and transforms again, sparsifier, quantizer."""
    return 1 if isinstance(stage, Sparsifier) else 2 if isinstance(stage, Quantizer) else 0


def _check_order(stages: tuple[Stage, ...], where: str) -> None:
    for place, stage in enumerate(stages):
        here, kind = f"{where}[{place}]", kind_of(stage)
        if where not in stage.places:
            raise UserError(f"{here}: {_misplaced(stage, kind, where)}")
        if place == 0:
            continue
        before = stages[place - 1]
        if _rank(stage) < _rank(before):
            raise UserError(f"{here}: {kind} must stand before {kind_of(before)}: what is sent is decided last")
        if _rank(stage) == _rank(before) > 0:
            raise UserError(f"{here}: {kind} cannot follow {kind_of(before)}: one choice of coordinates, one code")
        if isinstance(before, Sparsifier) and before.coded:
            raise UserError(f"{here}: {kind} cannot follow {kind_of(before)}, whose values are coded already")
    feedback = [place for place, stage in enumerate(stages) if isinstance(stage, Feedback)]
    if len(feedback) > 1:
        raise UserError(f"{where}[{feedback[1]}]: more than one feedback stage; use one error feedback")


def _misplaced(stage: Stage, kind: str, where: str) -> str:
    if where == DOWNLINK and isinstance(stage, Feedback):
        return f"{kind} cannot stand in downlink, which has error feedback of its own (EF21-P); use it in bias"
    return f"{kind} cannot stand in {where}; it may stand in {', '.join(stage.places)}"
