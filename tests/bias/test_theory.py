"""What stages promise together, measured; what is warned of; and that scaling makes error feedback converge."""

import itertools

import numpy as np
import pytest

from pmom_mpi.analysis import read
from pmom_mpi.bias.compose import theory_of, warnings
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.measure.bias import measure
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime import setting as preparation
from pmom_mpi.wire.codec import to_dense
from pmom_mpi.words import registry
from pmom_mpi.words.layout import Layout

D = 60
LAYOUT = Layout.flat(D)
TOP = {"kind": "top_k", "fraction": 0.2}
RAND = {"kind": "rand_k", "fraction": 0.2, "scale": "unbiased"}
AUTO = {"kind": "scale"}
QSGD = {"kind": "qsgd", "levels": 1}
BF16 = {"kind": "cast"}
NATURAL = {"kind": "natural"}
TERNGRAD = {"kind": "terngrad"}
CLIP = {"kind": "clip_norm", "tau": 1}


def pipeline_of(*stages, where="bias"):
    raw = [{"kind": stage} if isinstance(stage, str) else stage for stage in stages]
    return Pipeline([registry.build(registry.BIAS, where, stage) for stage in raw], LAYOUT, np.float64, 0, where)


def theory(*stages):
    return theory_of(pipeline_of(*stages).stages, LAYOUT)


def error(pipeline, vector, draws=400):
    """E|Q(g) - g|^2 / |g|^2, measured."""
    total, seen = 0.0, np.empty(D)
    for k in range(draws):
        to_dense(pipeline.apply(vector.copy(), 0, k)[0], seen)
        total += np.sum((seen - vector) ** 2)
    return total / draws / np.sum(vector**2)


VECTORS = [
    np.random.default_rng(0).standard_normal(D),
    np.exp(2 * np.random.default_rng(1).standard_normal(D)),
    np.linspace(1, 1.001, D),
    np.linspace(1, 1.001, D) / (1 + np.sqrt(D)) + np.eye(D)[3],
]
"""Without ties, of which top_k would keep more than it says."""


@pytest.mark.parametrize(
    "stages",
    [
        [],
        ["none"],
        [{"kind": "scale", "factor": 0.3}],
        [TOP, BF16],
        [TOP, NATURAL],
        [TOP, "scaled_sign"],
        [{"kind": "rand_k", "fraction": 0.2}, NATURAL],
        [AUTO, RAND],
        [AUTO, QSGD],
        [AUTO, TERNGRAD],
        [AUTO, RAND, QSGD],
        [AUTO, RAND, NATURAL],
        [AUTO, TOP, QSGD],
        [AUTO, TOP, TERNGRAD],
        [AUTO, NATURAL],
        [{"kind": "scale", "factor": 0.5}, TOP, NATURAL],
        [{"kind": "scale", "factor": 0.9}, "scaled_sign"],
    ],
    ids=str,
)
def test_a_contraction_contracts_by_what_it_says(stages):
    known = theory(*stages)
    assert known.contracts and (known.alpha is None or 0 < known.alpha <= 1)
    pipeline = pipeline_of(*stages)
    for vector in VECTORS:
        assert error(pipeline, vector) <= (1 - known.alpha) * 1.1 + 1e-9


@pytest.mark.parametrize("stages", [[RAND], [QSGD], [TERNGRAD], [RAND, QSGD], [RAND, NATURAL]], ids=str)
def test_an_unbiased_composition_varies_by_at_most_what_it_says_and_auto_is_the_best_factor(stages):
    known = theory(*stages)
    assert known.family == "unbiased" and known.contracts is False
    pipeline = pipeline_of(*stages)
    assert max(error(pipeline, vector) for vector in VECTORS) <= known.omega * 1.1
    scaled = pipeline_of(AUTO, *stages)
    assert scaled.stages[0].factor == pytest.approx(1 / (1 + known.omega))
    assert theory(AUTO, *stages).alpha == pytest.approx(1 / (1 + known.omega))
    others = [theory({"kind": "scale", "factor": f / (1 + known.omega)}, *stages).alpha for f in (0.9, 1.1)]
    assert max(others) < theory(AUTO, *stages).alpha


def test_an_unbiased_sparsifier_reaches_its_bound():
    assert error(pipeline_of(AUTO, RAND), np.ones(D)) == pytest.approx(1 - 0.2, rel=1e-6)


def test_a_quantizer_behind_a_sparsifier_is_judged_by_what_is_kept():
    assert theory({"kind": "top_k", "k": 4}, TERNGRAD).alpha == pytest.approx(4 / D * (1 - 1 / 2))
    assert theory(TOP, TERNGRAD).alpha < 0


@pytest.mark.parametrize(
    "feedback, inside", [*itertools.product(["ef14", "ef21", "ef21_sgdm"], [[RAND], [QSGD], [TERNGRAD], [TOP, QSGD]])]
)
def test_feedback_around_what_does_not_contract_is_warned_of(feedback, inside):
    line = r"warning: bias: {} needs a contraction, and {} is none".format
    kinds = " -> ".join(stage["kind"] for stage in inside)
    (found,) = warnings(pipeline_of(feedback, *inside).stages, LAYOUT, "bias")
    assert found.startswith(line(feedback, kinds)) and "\n" not in found
    assert f"{{kind: scale, factor: auto}} behind {feedback}" in found
    assert warnings(pipeline_of(feedback, AUTO, *inside).stages, LAYOUT, "bias") == []
    (found,) = warnings(pipeline_of(*inside, where="downlink").stages, LAYOUT, "downlink")
    assert found.startswith("warning: downlink: EF21-P needs a contraction")
    assert warnings(pipeline_of(AUTO, *inside, where="downlink").stages, LAYOUT, "downlink") == []
    assert warnings(pipeline_of(*inside).stages, LAYOUT, "bias") == []


@pytest.mark.parametrize(
    "inside",
    [
        [], [TOP], ["scaled_sign"], [NATURAL], [TOP, NATURAL], [TOP, BF16], ["power_sgd"], [CLIP, TOP],
        [{"kind": "threshold", "tau": 1}], [{"kind": "cast", "dtype": "float16"}],
    ],
)  # fmt: skip
def test_nothing_is_said_of_what_contracts_or_may(inside):
    assert warnings(pipeline_of("ef21", *inside).stages, LAYOUT, "bias") == []


def test_transforms_do_not_hide_an_operator_that_cannot_contract():
    assert len(warnings(pipeline_of("ef21", CLIP, QSGD).stages, LAYOUT, "bias")) == 1
    assert len(warnings(pipeline_of("ef21", RAND, BF16).stages, LAYOUT, "bias")) == 1


SQUARES = {
    "name": "squares", "iterations": 2500, "step_size": 0.05, "dtype": "float64", "nodes": 4,
    "evaluate": {"every": 0},
    "problem": {"kind": "least_squares", "synthetic": {"dimension": 20, "samples": 80, "condition": 10}},
}  # fmt: skip


def gap(bias, tmp_path, **keys):
    """f - f* at the end of a run, and infinity where it diverged."""
    done = experiment.run(SQUARES | keys | {"bias": bias}, output=tmp_path / "run.h5", overwrite=True)
    found = read.load(done.path).metrics["train_suboptimality"]
    return np.inf if done.status == "diverged" else found[-1]


def test_scaled_rand_k_converges_under_ef21_and_the_unscaled_diverges(tmp_path):
    rand = RAND | {"fraction": 0.1}
    assert gap([{"kind": "ef21"}, AUTO, rand], tmp_path) < 2e-9
    assert gap([{"kind": "ef21"}, rand], tmp_path) > 1e9


def test_validate_says_it_and_the_documents_example_is_one_that_works(tmp_path):
    config = {
        "name": "doc", "iterations": 60, "step_size": 0.3, "problem": {"kind": "mlp", "hidden": [64]},
        "data": {"name": "digits", "nodes": 4}, "evaluate": {"every": 0},
    }  # fmt: skip
    top = {"kind": "top_k", "fraction": 0.1}
    bad = config | {"bias": ["ef21", top, "qsgd"], "downlink": [RAND]}
    lines = [line for line in preparation.validate(bad) if line.startswith("warning: ")]
    assert [line.split(":")[1].strip() for line in lines] == ["bias", "downlink"]
    good = config | {"bias": [{"kind": "clip_norm", "tau": 1.0}, "ef21", "scale", top, "qsgd"]}
    assert not [line for line in preparation.validate(good) if "warning" in line]
    experiment.run(good, output=tmp_path / "good.h5")
    loss = read.load(tmp_path / "good.h5").metrics["train_loss"]
    assert loss[-1] < 0.7 * loss[0]


def test_a_factor_of_auto_is_measured_too():
    config = {
        "name": "measured", "iterations": 5, "step_size": 0.5, "problem": {"kind": "mlp", "hidden": [16]},
        "data": {"name": "digits", "nodes": 3}, "bias": ["ef21", "scale", RAND | {"fraction": 0.1}],
    }  # fmt: skip
    assert [row.label for row in measure(config)][-1] == "ef21 + scale + rand_k 10 % unbiased"
