"""Whether what an operator's methods return is what the pipeline expects; a wrong value says what would be right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmom_mpi.bias.base import Feedback, Quantizer, Sparsifier, Stage, Step, Transform
from pmom_mpi.bias.theory import Theory
from pmom_mpi.check.finding import BAD, GOOD, Finding, verdict
from pmom_mpi.check.trial import BATCH, DTYPES, Trial, dense_of, during
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.base import Values
from pmom_mpi.wire.values.raw import Raw


def returns(trial: Trial) -> Iterator[Finding]:
    """`init`, `theory`, `max_size` and the role's own method, asked directly in both types."""
    stage = trial.pipeline(DTYPES[0]).stages[0]
    yield from _said(stage, trial)
    for dtype in DTYPES:
        with during(f"random, {dtype}"):
            memory = stage.init(trial.layout, dtype)
            if not isinstance(memory, dict) or not all(isinstance(array, np.ndarray) for array in memory.values()):
                yield Finding("init", BAD, f"returned {_kind(memory)}: needs a dict of arrays, a name each")
                return
            step = Step(0, 0, 0, trial.layout, memory, {}, 0, BATCH)
            name, expected, found = _asked(stage, trial.random(dtype), step)
        names = tuple(metric.name for metric in stage.statistics)
        numbers = f"a tuple with a number for each of statistics {names}"
        if expected is None:
            fine, right = _numbers(found, names), f"{numbers}; it changes the gradient in place"
        else:
            fine = isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], expected)
            fine = fine and isinstance(found, tuple) and _numbers(found[1], names)
            right = f"({expected.__name__}, {numbers})"
        text = f"returned {_kind(found)}" if not fine else f"{_kind(found)} as expected"
        yield verdict(f"{name}, {dtype}", fine, text, f"needs {right}")


def _said(stage: Stage, trial: Trial) -> Iterator[Finding]:
    """What it says of itself."""
    theory = stage.theory(trial.layout)
    if not isinstance(theory, Theory):
        yield Finding("theory", BAD, f"returned {_kind(theory)}: needs contractive(alpha), unbiased(omega) or OTHER")
    sizes: dict[str, object] = {}
    if isinstance(stage, Quantizer):
        sizes["max_size"] = stage.max_size(trial.layout.dimension, trial.layout)
    if isinstance(stage, Sparsifier):
        sizes = {"most": stage.most(trial.layout), "keeps": stage.keeps(trial.layout)}
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)):
            yield Finding(name, BAD, f"returned {size!r}: needs a whole number")


def _asked(stage: Stage, vector: np.ndarray, step: Step) -> tuple[str, type | None, object]:
    """The role's method, what it is to return beside the numbers, and what it returned."""
    if isinstance(stage, Transform):
        return "apply", None, stage.apply(vector, step)
    if isinstance(stage, Sparsifier):
        return "compress", Message, stage.compress(vector, step)
    if isinstance(stage, Quantizer):
        return "quantize", Values, stage.quantize(vector, step)
    if isinstance(stage, Feedback):
        return "around", Message, stage.around(vector, step, _everything)
    raise TypeError(f"{type(stage).__name__} has none of the four roles")


def _everything(vector: np.ndarray) -> Message:
    return Message(vector.size, Everything(), Raw(vector.copy()))


def once(trial: Trial) -> Iterator[Finding]:
    """Of error feedback: what stands behind is called once, and its message is what is sent."""
    stage = trial.stages[0]
    if not isinstance(stage, Feedback):
        return
    made: list[Message] = []
    given: list[np.ndarray] = []

    def compress(vector: np.ndarray) -> Message:
        given.append(vector.copy())
        made.append(_everything(vector))
        return made[-1]

    memory = stage.init(trial.layout, DTYPES[1])
    for iteration in (0, 1):  # the first may begin with the exact vector
        made.clear()
        given.clear()
        step = Step(0, iteration, 0, trial.layout, memory, {}, 0, BATCH)
        message, _ = stage.around(trial.random(DTYPES[1]), step, compress)
    calls = "called once" if len(made) == 1 else f"called {len(made)} times"
    yield verdict("compress", len(made) == 1, calls, "call it once an iteration")
    if len(made) == 1:
        fine = message is made[0] and np.array_equal(dense_of(message, given[0]), given[0])
        yield Finding("message", GOOD if fine else BAD, "what compress made" if fine
                      else "not as compress made it: send that, and keep the rest in step.memory")  # fmt: skip


def _numbers(found: object, names: tuple[str, ...]) -> bool:
    if not isinstance(found, tuple) or len(found) != len(names):
        return False
    return all(isinstance(number, (int, float, np.number, np.bool_)) for number in found)


def _kind(found: object) -> str:
    """What was returned, in few words."""
    if isinstance(found, tuple):
        return f"({', '.join(_kind(part) for part in found)}{',' if len(found) == 1 else ''})"
    if isinstance(found, np.ndarray):
        return f"an array of {found.dtype} of shape {found.shape}"
    return repr(found) if found is None or isinstance(found, (int, float, str)) else f"a {type(found).__name__}"
