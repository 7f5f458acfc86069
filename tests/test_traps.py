"""Mistakes that published code for compressed gradients has made: each is a test that it is not made here."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest

from pmom_mpi.bias.feedback import EF14, EF21
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.bias.sign import ScaledSign
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.measure.bits import log2_binomial
from pmom_mpi.runtime import experiment
from pmom_mpi.wire import codec
from pmom_mpi.words.layout import Layout

NODES = 4
DIMENSION = 64 * 100 + 100 + 100 * 10 + 10


@pytest.fixture
def rows(tmp_path):
    """A function that runs a pipeline for 3 iterations on real digits and returns the run file's values a node."""

    def run(*bias):
        raw = {
            "name": "trap", "iterations": 3, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [100]},
            "data": {"name": "digits", "nodes": NODES}, "evaluate": {"every": 0}, "record": {"nodes": True},
            "bias": list(bias),
        }  # fmt: skip
        experiment.run(raw, output=tmp_path / "trap.h5", overwrite=True)
        with h5py.File(tmp_path / "trap.h5", "r") as file:
            found = {name: file["nodes"][name][()] for name in file["nodes"]}
            np.testing.assert_array_equal(found["uplink_bits"].sum(axis=1), file["metrics/uplink_bits"][()])
        return found

    return run


def sent(pipeline, gradient):
    """What a receiver decodes from the real bytes, and how many they are."""
    message, _ = pipeline.apply(gradient.copy(), 0, 0)
    out = np.empty(codec.max_bytes(gradient.size, gradient.dtype), np.uint8)
    size = codec.encode(message, out)
    total = np.zeros_like(gradient)
    codec.add(out[:size], total)
    return total, size


@pytest.mark.parametrize("kind", ["scaled_sign", "sign_majority"])
def test_a_one_bit_sign_is_one_bit(rows, kind):
    """Not a byte an element, which torch.sign and an int8 tensor send."""
    bits = rows({"kind": kind})["uplink_bits"]
    assert (bits == 8 * math.ceil(DIMENSION / 8) + 8 * (16 + 8)).all()
    _, size = sent(Pipeline([ScaledSign()], Layout.flat(669_706), np.float32), np.ones(669_706, np.float32))
    assert 8 * size / 669_706 <= 1.01


def test_payloads_of_different_sizes_are_not_padded_to_the_largest(rows):
    found = rows({"kind": "threshold", "tau": 0.003})
    kept, bits = found["kept"], found["uplink_bits"]
    assert len(np.unique(kept)) > NODES
    own = [32 * m + 1.05 * log2_binomial(DIMENSION, int(m)) for m in kept.ravel()]
    assert (bits.ravel() <= 200 + np.array(own)).all()


def test_indices_above_2_to_the_24_are_exact():
    """float32 holds integers up to 2^24 only; a gradient of more coordinates loses odd indices where they travel so."""
    kept = np.array([3, 2**24 + 1, 2**24 + 3, 2**24 + 4])
    gradient = np.zeros(2**24 + 9, np.float32)
    gradient[kept] = [1.0, -2.0, 3.0, -4.0]
    total, _ = sent(Pipeline([TopK(k=4)], Layout.flat(gradient.size), np.float32), gradient)
    assert np.flatnonzero(total).tolist() == kept.tolist()
    assert total[kept].tolist() == [1.0, -2.0, 3.0, -4.0]


@pytest.mark.parametrize("stage", [EF14(), EF21()])
def test_error_feedback_keeps_signs(stage):
    """Top-K by magnitude must store the values, not the magnitudes: else what was sent is not what is remembered."""
    gradient = np.array([-4.0, 3.0, -2.0, 1.0], np.float32)
    pipeline = Pipeline([stage, TopK(k=1)], Layout.flat(4), np.float32)
    seen = np.zeros(4, np.float32)
    for k in range(4):
        message, _ = pipeline.apply(gradient.copy() if k == 0 or stage == EF21() else np.zeros(4, np.float32), 0, k)
        out = np.empty(4, np.float32)
        codec.to_dense(message, out)
        seen += out
    np.testing.assert_array_equal(seen, gradient)


@pytest.mark.parametrize("kind", ["top_k", "rand_k"])
@pytest.mark.parametrize("fraction", [0.001, 0.01, 0.07])
def test_what_is_kept_is_what_the_config_says(rows, kind, fraction):
    expected = math.ceil(round(fraction * DIMENSION, 9))
    assert (rows({"kind": kind, "fraction": fraction})["kept"] == expected).all()
    assert (rows({"kind": kind, "k": 123})["kept"] == 123).all()


def test_a_fraction_of_every_layer_is_a_fraction_of_each(rows):
    expected = sum(math.ceil(size / 100) for size in (6400, 100, 1000, 10))
    kept = rows({"kind": "top_k", "fraction": 0.01, "scope": "layer"})["kept"]
    assert (kept <= expected).all() and (kept >= expected - 100).all()  # zero gradients of idle units are never sent


def test_index_bits_are_counted(rows):
    """A sparse payload costs its indices too: about log2 binomial(d, K) bits beside the values."""
    found = rows({"kind": "top_k", "k": 700})
    indices = found["uplink_bits"] - 32 * 700 - 128
    bound = log2_binomial(DIMENSION, 700)
    assert (indices > 0.5 * bound).all() and (indices < 1.05 * bound).all()
