"""How an operator behaves: what it returns, writes, draws, remembers, and whether its bytes say what it meant."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator

import numpy as np

from pmom_mpi.bias.base import Feedback, Transform, sparsifier_of
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.check.finding import BAD, GOOD, NOTE, Finding, verdict
from pmom_mpi.check.trial import DTYPES, Trial, dense_of, during, message_of, send
from pmom_mpi.wire import codec, supports
from pmom_mpi.wire.values.raw import Raw

ROUNDS = 3
"""Iterations that a memory is followed for."""
SPOILT = 20
"""Iterations within which a NaN must arrive."""
DRAW = "draw from self.key(step) or self.generator(step, part) only"
OTHERS = 4
"""Nodes, seeds and iterations whose draws are compared."""


def purity(trial: Trial) -> Iterator[Finding]:
    """What must stay as it is: the gradient under compressors, the global random numbers."""
    before = _global_state()
    changed = ""
    for dtype in DTYPES:
        for name, vector in trial.vectors(dtype):
            own = vector.copy()
            with during(name):
                trial.pipeline(dtype).apply(own, 0, 0)
            changed = changed or ("" if own.tobytes() == vector.tobytes() else name)
    if not any(isinstance(stage, (Transform, Feedback)) for stage in trial.stages):
        yield verdict("gradient", not changed, "left as it is" if not changed else f"written to ({changed})",
                      "a Sparsifier or Quantizer only reads it; use step.buffer for what it changes")  # fmt: skip
    same = before == _global_state()
    yield verdict("global random numbers", same, "untouched" if same else "drawn from", DRAW)


def _global_state() -> tuple[bytes, object]:
    words = np.random.get_state(legacy=False)["state"]
    return pickle.dumps(words), random.getstate()


def determinism(trial: Trial) -> Iterator[Finding]:
    """Equal (seed, node, iteration) and gradients, equal bits; another iteration, other draws."""
    for dtype in DTYPES:
        with during(str(dtype)):
            once: list[bytes] = []
            again: list[bytes] = []
            shared: list[bytes] = []
            one, two, both = (trial.pipeline(dtype) for _ in range(3))
            for k in range(ROUNDS):
                vector = trial.random(dtype, k)
                send(both, 3 * vector, 1, k)
                once.append(send(one, vector, 2, k).payload)
                again.append(send(two, vector, 2, k).payload)
                shared.append(send(both, vector, 2, k).payload)
        yield verdict(f"same again, {dtype}", once == again, "same bits" if once == again else "another payload", DRAW)
        if once == again:
            yield verdict(f"beside another node, {dtype}", once == shared,
                          "same bits" if once == shared else "another payload",
                          "something is carried over from node to node: keep it in step.memory, in new arrays of init, "
                          "and count on nothing in step.buffer")  # fmt: skip
    yield _draws(trial)


def _draws(trial: Trial) -> Finding:
    vector = trial.random(DTYPES[0])

    def seen(seed: int, node: int, iteration: int) -> bytes:
        return dense_of(message_of(trial.pipeline(DTYPES[0], seed), vector, node, iteration), vector).tobytes()

    first, several = seen(0, 0, 0), range(1, OTHERS + 1)
    differs = {
        "seed": any(seen(other, 0, 0) != first for other in several),
        "node": any(seen(0, other, 0) != first for other in several),
        "iteration": any(seen(0, 0, other) != first for other in several),
    }
    same = [name for name, found in differs.items() if not found]
    if len(same) == len(differs):
        return Finding("draws", GOOD, "nothing is random about it")
    return verdict("draws", not same, "others for every seed, node and iteration" if not same
                   else f"the same for every {' and '.join(same)}", DRAW)  # fmt: skip


def decoding(trial: Trial) -> Iterator[Finding]:
    """The bytes say what the message meant, and fit the buffers; values have the gradient's type."""
    largest, room, wrong, typed, kept, full = 0, 0, "", "", "", True
    for dtype in DTYPES:
        pipeline = trial.pipeline(dtype)
        sparsifier = sparsifier_of(pipeline.stages)
        for name, vector in trial.vectors(dtype):
            with during(name):
                pipeline.forget()
                message = message_of(pipeline, vector)
                if isinstance(message.values, Raw) and message.values.array.dtype != dtype:
                    typed = typed or f"{message.values.array.dtype} for {name}"
                many = supports.count(message.support, message.dimension)
                if sparsifier is not None and not sparsifier.coded and many > sparsifier.most(trial.layout):
                    kept = kept or f"{many} for {name}"
                sent = send(pipeline, vector, 0, 1)
                wrong = wrong or _misread(sent.payload, sent.dense, name)
            size, most = len(sent.payload), pipeline.max_bytes()
            if size > most or (full and size > largest):
                largest, room, full = size, most, full and size <= most
    yield verdict("decode", not wrong, wrong or "what add and decode make of the bytes is what was meant",
                  "write, read and add of its value codec must agree to the bit")  # fmt: skip
    yield verdict("payload", full, f"{largest} bytes at most where buffers have {room}",
                  "max_size (of a sparsifier: most) must say the most that may come")  # fmt: skip
    if kept:
        yield Finding("most", BAD, f"{kept} coordinates: more than most(layout) says")
    yield verdict(
        "type of the values", not typed, typed or "the gradient's own, or coded", "needs the gradient's dtype"
    )


def _misread(payload: bytes, meant: np.ndarray, name: str) -> str:
    given = np.frombuffer(payload, np.uint8).copy()
    total = np.zeros_like(meant)
    codec.add(given, total)
    for words, found in (("add", total), ("decode", dense_of(codec.decode(given), meant))):
        if not np.array_equal(found, meant, equal_nan=True):
            place = int(np.flatnonzero(~((found == meant) | (np.isnan(found) & np.isnan(meant))))[0])
            return f"{name}: {words} reads {found[place]:.6g} at coordinate {place} where {meant[place]:.6g} was meant"
    return ""


def memory(trial: Trial) -> Iterator[Finding]:
    """Complete from init on, and enough to go on with."""
    for dtype in DTYPES:
        with during(str(dtype)):
            yield from _memory(trial, trial.pipeline(dtype), trial.pipeline(dtype), dtype)


def _memory(trial: Trial, whole: Pipeline, other: Pipeline, dtype: np.dtype) -> Iterator[Finding]:
    begun = {name: (array.shape, array.dtype) for name, array in whole.save(0).items()}
    for k in range(ROUNDS):
        send(whole, trial.random(dtype, k), 0, k)
    later = whole.save(0)
    shapes = {name: (array.shape, array.dtype) for name, array in later.items()}
    if shapes != begun:
        names = ", ".join(sorted(name for name in shapes | begun if shapes.get(name) != begun.get(name)))
        yield Finding(f"memory, {dtype}", BAD, f"{names} is not as init made it after {ROUNDS} iterations: init makes "
                      "every array, and only its numbers change")  # fmt: skip
        return
    other.restore(0, {name: array.copy() for name, array in later.items()})
    rounds = range(ROUNDS, 2 * ROUNDS)
    on = [[send(pipeline, trial.random(dtype, k), 0, k).payload for k in rounds] for pipeline in (whole, other)]
    text = f"{sum(array.nbytes for array in later.values())} bytes a node" if later else "nothing is remembered"
    yield verdict(f"saved and restored, {dtype}", on[0] == on[1],
                  f"goes on with the same bits; {text}" if on[0] == on[1] else f"goes on otherwise; {text}",
                  "all that is remembered must lie in step.memory")  # fmt: skip


def poison(trial: Trial) -> Iterator[Finding]:
    """What is not finite reaches the server, so that a run which diverges ends."""
    for value in (np.nan, np.inf):
        single, all_ = trial.random(DTYPES[0]), np.full(trial.layout.dimension, value, np.float32)
        single[trial.layout.dimension // 2] = value
        words = "NaN" if np.isnan(value) else "infinity"
        with during(words):
            if _arrives(trial, single):
                yield Finding(words, GOOD, "reaches the server")
            elif _chooses(trial) and _arrives(trial, all_):
                yield Finding(words, NOTE, f"reaches the server when it is drawn, which it was not in {SPOILT} times")
            else:
                yield Finding(words, BAD, "vanishes: hand on what is not finite, or the run goes on with wrong numbers")


def _arrives(trial: Trial, vector: np.ndarray) -> bool:
    pipeline = trial.pipeline(vector.dtype)
    return any(not np.isfinite(dense_of(message_of(pipeline, vector, 0, k), vector)).all() for k in range(SPOILT))


def _chooses(trial: Trial) -> bool:
    """Whether which coordinates are sent is drawn."""
    sparsifier = sparsifier_of(trial.stages)
    return sparsifier is not None and sparsifier.stream is not None
