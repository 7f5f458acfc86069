"""What a pipeline refuses, how large its payloads get, and that what it remembers is saved and restored."""

from dataclasses import dataclass

import numpy as np
import pytest
from compressor_cases import vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from test_every_kind import ALL, every, pipeline_of

from pmom_mpi.analysis import read
from pmom_mpi.bias.base import KEPT, Quantizer, Sparsifier, Transform
from pmom_mpi.bias.clipping import ClipAdaptive, ClipNorm
from pmom_mpi.bias.feedback import EF21
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime import setting as preparation
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values import LowRank
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout

CONFIG = {
    "name": "pipeline", "iterations": 3, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [8]},
    "data": {"name": "digits", "nodes": 3}, "evaluate": {"every": 0},
}  # fmt: skip
TOP = {"kind": "top_k", "k": 5}
LAYOUT = Layout(("w", "b"), ((5, 6), (4,)))


def built(*stages, layout=LAYOUT, dtype=np.float32, where="bias"):
    raw = [{"kind": stage} if isinstance(stage, str) else stage for stage in stages]
    return Pipeline([registry.build(registry.BIAS, where, stage) for stage in raw], layout, dtype, 0, where)


@pytest.mark.parametrize(
    "where, stages, line",
    [
        ("downlink", ["ef14", TOP], r"downlink\[0\]: ef14 cannot stand in downlink, which has .*\(EF21-P\)"),
        ("downlink", ["ef21", TOP], r"downlink\[0\]: ef21 cannot stand in downlink"),
        ("downlink", [{"kind": "ef21_sgdm"}, TOP], r"downlink\[0\]: ef21_sgdm cannot stand in downlink"),
        ("downlink", [TOP, "sign_majority"], r"downlink\[1\]: sign_majority cannot stand in downlink; .* in bias"),
        ("downlink", [{"kind": "local_momentum", "beta": 0.5}, TOP], r"downlink\[0\]: local_momentum cannot stand"),
        ("downlink", [{"kind": "clip_per_sample", "tau": 1}], r"downlink\[0\]: clip_per_sample cannot stand"),
        ("downlink", ["qsgd", TOP], r"downlink\[1\]: top_k must stand before qsgd"),
        ("downlink", [{"kind": "top_k", "k": 999999}], r"downlink\[0\]\.k: 999999 is more than d = "),
        ("bias", ["ef21", "sign_majority"], r"bias\[1\]: sign_majority cannot stand behind error feedback"),
        ("bias", ["ef14", TOP, "sign_majority"], r"bias\[2\]: sign_majority cannot stand behind error feedback"),
        ("bias", [TOP, {"kind": "scaled_sign", "scope": "layer"}], r"bias\[1\]\.scope: layer cannot follow a spars"),
        ("bias", [TOP, TOP], r"bias\[1\]: top_k cannot follow top_k"),
        ("bias", ["qsgd", "natural"], r"bias\[1\]: natural cannot follow qsgd"),
        ("bias", ["power_sgd", "qsgd"], r"bias\[1\]: qsgd cannot follow power_sgd, whose values are coded already"),
        ("bias", ["ef14", "ef21", TOP], r"bias\[1\]: more than one feedback stage"),
        ("bias", ["scale", TOP], r"bias\[0\]\.factor: auto needs an unbiased operator behind"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_that_names_the_stage(where, stages, line):
    raw = [{"kind": stage} if isinstance(stage, str) else stage for stage in stages]
    with pytest.raises(UserError, match=rf"^config: {line}[^\n]*$"):
        preparation.validate(CONFIG | {where: raw})


@dataclass(frozen=True)
class NoStage:
    def apply(self, gradient, step):
        return ()


@dataclass(frozen=True)
class NoSize(Quantizer):
    def quantize(self, values, step):
        raise NotImplementedError


@pytest.mark.parametrize(
    "name, line",
    [
        ("NoStage", r"bias\[0\]: test_pipeline:NoStage must derive from one of .* Transform, Feedback, Spars"),
        ("NoSize", r"bias\[0\]\.kind: 'test_pipeline:NoSize' must have a method max_size"),
    ],
)
def test_a_stage_of_ones_own_must_be_one(name, line):
    with pytest.raises(UserError, match=line):
        preparation.validate(CONFIG | {"bias": [{"kind": f"test_pipeline:{name}"}]})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
@settings(max_examples=15)
@given(data=st.data())
def test_no_payload_is_longer_than_the_pipeline_says(raw, dtype, data):
    vector = data.draw(vectors(dtype, st.integers(1, 60)))
    pipeline = pipeline_of(raw, vector.size, dtype)
    out = np.empty(pipeline.max_bytes(), np.uint8)
    for k in range(2):
        message, _ = pipeline.apply(vector.copy(), 0, k)
        assert codec.encode(message, out, checksum=True) <= out.size


MANY = Layout(tuple(f"w{t}" for t in range(100)), ((3, 2),) * 100)
SMALL = Layout(("x",), ((1,),))
TENSORS = Layout(tuple(f"b{t}" for t in range(300)), ((1,),) * 300)
FULL = {"kind": "top_k", "fraction": 1.0}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "layout, stages",
    [
        (Layout.flat(1000), [{"kind": "qsgd", "bucket": 1}]),
        (Layout.flat(1000), [{"kind": "qsgd", "bucket": 1, "levels": 32767}]),
        (Layout.flat(1000), [FULL, {"kind": "qsgd", "bucket": 1, "levels": 32767}]),
        (MANY, [{"kind": "power_sgd", "rank": 1}]),
        (TENSORS, [{"kind": "scaled_sign", "scope": "layer"}]),
        (SMALL, [{"kind": "rand_k", "k": 1}, {"kind": "qsgd"}]),
        (SMALL, [FULL]),
        (Layout.flat(1000), [FULL]),
        (Layout.flat(1000), [{"kind": "rand_k", "k": 10}]),
        (Layout.flat(1000), []),
        (Layout.flat(1000), [{"kind": "cast", "dtype": "fp8"}]),
    ],
)
def test_the_bound_is_met_to_a_few_bytes(layout, stages, dtype):
    pipeline = built(*stages, layout=layout, dtype=dtype)
    gradient = np.random.default_rng(0).standard_normal(layout.dimension).astype(dtype)
    message, _ = pipeline.apply(gradient, 0, 0)
    out = np.empty(pipeline.max_bytes(), np.uint8)
    assert pipeline.max_bytes() - 8 <= codec.encode(message, out, checksum=True) <= pipeline.max_bytes()


@pytest.mark.parametrize("bias", [{"kind": "qsgd", "bucket": 1}, {"kind": "qsgd", "bucket": 1, "levels": 32767}])
def test_large_payloads_travel_both_ways(bias, tmp_path):
    experiment.run(CONFIG | {"bias": [bias], "downlink": [bias]}, output=tmp_path / "run.h5")
    assert read.load(tmp_path / "run.h5").iterations == 3


def test_many_small_matrices_travel():
    pipeline = built({"kind": "power_sgd", "rank": 1}, layout=MANY)
    message, _ = pipeline.apply(np.ones(600, np.float32), 0, 0)
    assert 8 * pipeline.max_bytes() >= codec.bits(message) > 8 * codec.max_bytes(600, np.float32)


def test_statistics_are_metrics_with_names_of_their_own():
    pipeline = Pipeline([ClipNorm(1.0), ClipAdaptive(), TopK(k=3)], LAYOUT, np.float32)
    assert [metric.name for metric in pipeline.statistics] == [
        "clip_active", "clip_active_2", "clip_threshold", "kept",
    ]  # fmt: skip
    assert pipeline.statistics[-1] == KEPT and KEPT.unit == "coordinates"
    assert pipeline.statistics[1].description == pipeline.statistics[0].description != ""


def run_on(pipeline, gradients, start=0):
    """The bytes of node 3's payloads."""
    sent = []
    for k, gradient in enumerate(gradients, start):
        message, _ = pipeline.apply(gradient.copy(), 3, k)
        out = np.empty(pipeline.max_bytes(), np.uint8)
        sent.append(out[: codec.encode(message, out)].tobytes())
    return sent


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cut", [0, 1, 3])
@every
def test_what_is_saved_and_restored_goes_on_bit_for_bit(raw, cut, dtype):
    gradients = np.random.default_rng(0).standard_normal((5, 40)).astype(dtype)
    whole = run_on(pipeline_of(raw, 40, dtype), gradients)
    first, second = pipeline_of(raw, 40, dtype), pipeline_of(raw, 40, dtype)
    fresh = {name: (array.shape, array.dtype) for name, array in first.save(3).items()}
    sent = run_on(first, gradients[:cut])
    saved = {name: array.copy() for name, array in first.save(3).items()}
    assert {name: (array.shape, array.dtype) for name, array in saved.items()} == fresh
    second.restore(3, saved)
    assert sent + run_on(second, gradients[cut:], cut) == whole


def test_every_stage_with_a_memory_is_among_those_cases():
    remembering = {raw["kind"] for raw in ALL if pipeline_of(raw, 40).save(0)}
    assert remembering == {"clip_adaptive", "local_momentum", "ef14", "ef21", "ef21_sgdm", "power_sgd"}


@pytest.mark.parametrize(
    "change, line",
    [
        (
            lambda saved: saved | {"0.other": saved["0.h"]},
            r"the memory of node 3 is not that of these stages: 0\.other",
        ),
        (lambda saved: {}, r"the memory of node 3 is not that of these stages: 0\.h"),
        (lambda saved: {"0.h": saved["0.h"][:-1]}, r"memory 0\.h of node 3 is float64 of shape \(33,\), not float64"),
        (lambda saved: {"0.h": saved["0.h"].astype("f")}, r"memory 0\.h of node 3 is float32"),
    ],
)
def test_a_memory_of_another_pipeline_is_refused(change, line):
    pipeline = Pipeline([EF21(), TopK(k=3)], LAYOUT, np.float32)
    with pytest.raises(UserError, match=rf"^bias: {line}"):
        pipeline.restore(3, change(pipeline.save(3)))


def test_forgetting_is_beginning_anew():
    gradients = np.random.default_rng(0).standard_normal((3, LAYOUT.dimension)).astype(np.float32)
    pipeline = built({"kind": "local_momentum", "beta": 0.3}, "ef21", TOP)
    first = run_on(pipeline, gradients)
    assert run_on(pipeline, gradients) != first
    pipeline.forget()
    assert run_on(pipeline, gradients) == first


@dataclass(frozen=True)
class Careless(Sparsifier):
    """Hands on coded values without saying so."""

    def compress(self, gradient, step):
        return Message(gradient.size, Everything(), LowRank([gradient])), ()


def test_a_sparsifier_that_codes_its_values_must_say_so():
    pipeline = Pipeline([Careless(), registry.build(registry.BIAS, "bias", "qsgd")], Layout.flat(4), np.float32)
    with pytest.raises(TypeError, match="a sparsifier whose values are LowRank must say that they are coded"):
        pipeline.apply(np.ones(4, np.float32), 0, 0)


def test_roles_are_base_classes():
    for raw in ALL:
        assert isinstance(registry.build(registry.BIAS, "bias", raw), (Transform, Quantizer, Sparsifier, EF21.__base__))
