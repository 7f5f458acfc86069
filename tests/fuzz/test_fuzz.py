"""Hostile configs, files and payloads: accepted, or refused with one line; no traceback, no hang, bounded memory.

    make fuzz                 # >= 5,000 configs, >= 5,000 files of every kind, >= 100,000 payloads; minutes
    PMOM_FUZZ=20000 python -m pytest tests/fuzz

The default suite takes a few seconds of it. What failed in great number is kept in the folder .fuzz and tried first the
next time; once mended it becomes an ``@example``.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from wire.messages import messages
from wire.test_codec import payload_of

from pmom_mpi import config as configs
from pmom_mpi.analysis import read, show, summary
from pmom_mpi.data import idx, svmlight
from pmom_mpi.data.files import read_arrays
from pmom_mpi.record.checkpoint import Damaged, generations, newest
from pmom_mpi.record.head import Head
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime.resume import resumed
from pmom_mpi.wire.codec import add, decode
from pmom_mpi.wire.message import WireError
from pmom_mpi.words.errors import UserError

pytestmark = pytest.mark.alone  # no example may take two minutes, or a gigabyte

EXAMPLES = int(os.environ.get("PMOM_FUZZ", "0"))
ROOT = Path(__file__).parents[2]
CORPUS = DirectoryBasedExampleDatabase(ROOT / ".fuzz") if EXAMPLES else None
FUZZ = dict(deadline=None, suppress_health_check=list(HealthCheck), database=CORPUS, print_blob=True)
PAYLOADS_AN_EXAMPLE = 20
SECONDS, ADDRESSES, MEMORY = 120, 8 << 30, 1 << 30
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def examples(few: int) -> Callable:
    return settings(max_examples=EXAMPLES or few, derandomize=not EXAMPLES, **FUZZ)


def memory(name: str) -> int:
    """Bytes of this process: ``VmSize`` of addresses, ``VmRSS`` of memory, ``VmHWM`` of memory at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


@contextmanager
def bounded(most: int) -> Iterator[None]:
    """Whatever a file claims, so much memory more is never used; beyond some more addresses nothing is given at all."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + ADDRESSES, before[1]))
    gc.collect()  # what other tests left would be given back meanwhile, and count as if less were used
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is forgotten
    held = memory("VmRSS")
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    used = memory("VmHWM") - held
    assert used < most, f"{used >> 20} MiB were used"


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    with bounded(MEMORY):
        yield


def test_memory_that_is_used_is_noticed():
    with pytest.raises(AssertionError, match="MiB were used"), bounded(64 << 20):
        np.ones(64 << 20)  # 512 MiB, given back at once


def refused_in_one_line(act: Callable[[], Any], *kinds: type[Exception]) -> None:
    """It succeeds, or raises one of these with a single line; a hang ends the tests with a traceback."""
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
    try:
        act()
    except kinds as error:
        assert str(error) and "\n" not in str(error), str(error)
    finally:
        faulthandler.cancel_dump_traceback_later()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["top_k", "ef21", "mlp", "sgd", "1e400", "digits", "{name}", "{0.__class__}", ":", "..a:B",
                        10**30, -1, 0]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5) | st.just("kind"), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all values inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, below in items for place in places(below, (*path, key)))]


def put(value: Any, path: tuple, new: Any) -> Any:
    """A copy with something else at a path."""
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = put(value[path[0]], path[1:], new)
    return copied


MOMENTUM = places(configs.load(CONFIGS[0]))[1:].index(("momentum",))


@examples(150)
@example(CONFIGS[0], [(MOMENTUM, {"kind": ":"})]).via("once in 5,000: a module without a name")
@example(CONFIGS[0], [(MOMENTUM, {"kind": "..a:B"})]).via("a module beside none")
@given(st.sampled_from(CONFIGS), st.lists(st.tuples(st.integers(0, 10**6), JUNK), min_size=1, max_size=3))
def test_configs_with_junk_in_them(path, changes):
    raw = configs.load(path)
    for number, new in changes:
        there = places(raw)[1:] or [()]
        raw = put(raw, there[number % len(there)], new)
    refused_in_one_line(lambda: configs.from_raw(raw, "c.yaml") if isinstance(raw, dict) else None, UserError)


@examples(150)
@given(st.sampled_from(CONFIGS), st.integers(0, 2**32), st.integers(1, 6))
def test_texts_of_configs_with_bytes_changed(path, seed, count):
    data = mutated(path.read_bytes(), seed, count)
    text = data.decode(errors="replace")
    refused_in_one_line(lambda: configs.from_raw(configs.parse(text, "c.yaml"), "c.yaml"), UserError)


@examples(100)
@given(st.text(max_size=30), st.text(max_size=30))
def test_overrides(key, value):
    raw = configs.load(CONFIGS[0])
    refused_in_one_line(lambda: configs.from_raw(configs.amend(raw, [f"{key}={value}"]), "c"), UserError)


BOMBS = {
    "a billion laughs": "a0: &a0 [x, x]\n"
    + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 12)),
    "itself": "a: &a [*a]\n",
    "itself, below": "a: &a {b: {c: *a}}\n",
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "merged": "a0: &a0 {x: 1}\n"
    + "".join(f"a{k}: &a{k}\n  <<: [{', '.join([f'*a{k - 1}'] * 9)}]\n  y{k}: 1\n" for k in range(1, 9)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_yaml_that_grows_without_bound_is_refused(bomb):
    with pytest.raises(UserError) as told:
        configs.parse(BOMBS[bomb], "bomb.yaml")
    assert "bomb.yaml" in str(told.value) and len(str(told.value)) < 200


def mutated(data: bytes, seed: int, count: int) -> bytes:
    """Bytes flipped, set, cut out, doubled, cut off."""
    rng, out = np.random.default_rng(seed), bytearray(data)
    for _ in range(count):
        if not out:
            break
        place, length = int(rng.integers(len(out))), int(rng.integers(1, 17))
        match int(rng.integers(6)):
            case 0:
                out[place] ^= 1 << int(rng.integers(8))
            case 1:
                out[place : place + length] = bytes(
                    rng.choice([0, 255, 127, 128], min(length, len(out) - place)).tolist()
                )
            case 2:
                out[place : place + length] = rng.bytes(min(length, len(out) - place))
            case 3:
                del out[place : place + length]
            case 4:
                out[place:place] = out[place : place + length]
            case _ if rng.random() < 0.3:
                del out[place:]
            case _:
                out[place] = int(rng.integers(256))
    return bytes(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, tuple[bytes, str, Callable[[Path], Any]]]:
    """Of every kind of file its bytes, its name, and what is done with it."""
    folder = tmp_path_factory.mktemp("whole")
    raw = {
        "name": "f", "iterations": 3, "step_size": 0.1, "data": {"name": "digits", "nodes": 2},
        "problem": {"kind": "softmax_regression"}, "bias": [{"kind": "ef21"}, {"kind": "top_k", "k": 3}],
        "checkpoint": {"every": 2}, "record": {"nodes": True},
    }  # fmt: skip
    experiment.run(raw, output=folder / "run.h5")
    made = np.random.default_rng(0)
    arrays = {"x_train": made.random((6, 4), np.float32), "y_train": made.integers(0, 3, 6)}
    np.savez(folder / "data.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)
    with h5py.File(folder / "data.h5", "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip")
    (folder / "data.idx").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + bytes(range(24)))
    (folder / "data.svm").write_text("1 1:0.5 3:2\n-1 2:1e-3 4:7\n1 1:1 # c\n")
    files = {
        "run file, shown": (folder / "run.h5", shown),
        "run file, head": (folder / "run.h5", Head.read),
        "run file, resumed": (folder / "run.h5", resumed),
        "run file, gone on with": (folder / "run.h5", lambda path: Recorder.reopen(path, 2).finish("failed")),
        "checkpoint": (generations(folder / "run.h5")[0], restored),
        "npz": (folder / "data.npz", read_arrays),
        "npz, packed": (folder / "packed.npz", read_arrays),
        "hdf5": (folder / "data.h5", read_arrays),
        "idx": (folder / "data.idx", idx.read_idx),
        "svmlight": (folder / "data.svm", svmlight.read),
    }
    return {name: (path.read_bytes(), path.name, act) for name, (path, act) in files.items()}


KINDS = (
    "run file, shown", "run file, head", "run file, resumed", "run file, gone on with", "checkpoint", "npz",
    "npz, packed", "hdf5", "idx", "svmlight",
)  # fmt: skip


def shown(path: Path) -> None:
    run = read.load(path)
    show.show(run, True, True)
    summary.summary(run)


def restored(path: Path) -> None:
    """Only what is whole comes before HDF5: damaged metadata may keep it busy for ever."""
    found, passed = newest(path.with_name("run.h5"), Head.read(path.with_name("run.h5")).run_id, 3)
    if found is None:
        raise Damaged(passed[0])
    found.snapshot()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_files_with_bytes_changed(whole, tmp_path_factory, kind):
    data, name, act = whole[kind]
    folder = tmp_path_factory.mktemp("changed")
    (folder / "run.h5").write_bytes(whole["run file, head"][0])

    @examples(30)
    @given(st.integers(0, 2**32), st.integers(1, 8))
    def one(seed, count):
        path = folder / name
        path.write_bytes(mutated(data, seed, count))
        refused_in_one_line(lambda: act(path), UserError, Damaged)

    one()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@examples(60)
@given(messages(), st.booleans(), st.integers(0, 2**32))
def test_payloads_with_bytes_changed(message, checksum, seed):
    payload = payload_of(message, checksum).tobytes()
    for turn in range(PAYLOADS_AN_EXAMPLE):
        changed = np.frombuffer(mutated(payload, seed + turn, 1 + turn % 4), np.uint8)
        refused_in_one_line(lambda changed=changed: add(changed, np.zeros(message.dimension, np.float32)), WireError)
        refused_in_one_line(lambda changed=changed: decode(changed), WireError)


def test_what_was_changed_is_still_told_apart():
    """The files are really changed: the fuzz would be of no use otherwise."""
    data = yaml.safe_dump({"a": 1}).encode() * 10
    assert sum(mutated(data, seed, 1) != data for seed in range(100)) > 90
