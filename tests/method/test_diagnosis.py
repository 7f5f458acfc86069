"""Diagnosis measures what it says, changes nothing, and is refused where nothing exact is known."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from pmom_mpi.runtime.experiment import resume, run
from pmom_mpi.runtime.setting import ready, validate
from pmom_mpi.wire import codec
from pmom_mpi.words.errors import UserError

NAMES = {
    f"diag_{name}" for name in
    ["value", "gradient", "bias", "cosine", "error", "momentum", "heterogeneity", "variance", "smoothness", "stage_0"]
}  # fmt: skip
PROBLEMS = {
    "logistic": {"problem": {"kind": "logistic", "positive": [0, 2, 4, 6, 8], "l2": 0.01},
                 "data": {"name": "digits", "nodes": 4, "partition": "iid"}, "gradient": {"batch": 20}},
    "mlp": {"problem": {"kind": "mlp", "hidden": [8]}, "data": {"name": "digits", "nodes": 4},
            "gradient": {"batch": 30, "order": "replacement"}},
    "full mlp": {"problem": {"kind": "mlp", "hidden": [8]}, "data": {"name": "digits", "nodes": 4}},
    "composite": {"problem": {"kind": "composite_regression", "inner_samples": 3}, "nodes": 4},
    "lqr": {"problem": {"kind": "lqr", "episodes": 4, "horizon": 20}, "nodes": 4, "step_size": 1e-4},
}  # fmt: skip


def config(kind: str, output: str, **changes: object) -> dict:
    return {
        "name": "diagnosed", "iterations": 8, "step_size": 0.1, "momentum": {"kind": "ema", "beta": 0.3},
        "bias": [{"kind": "top_k", "fraction": 0.3}], "output": output,
    } | PROBLEMS[kind] | changes  # fmt: skip


def metrics(path) -> dict[str, np.ndarray]:
    with h5py.File(path, "r") as file:
        return {name: values[()] for name, values in file["metrics"].items()} | {"x": file["final/x"][()]}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_diagnosis_changes_nothing_and_is_free_when_off(kind, tmp_path):
    run(config(kind, str(tmp_path / "off.h5")))
    run(config(kind, str(tmp_path / "on.h5"), diagnostics={"every": 3}))
    off, on = metrics(tmp_path / "off.h5"), metrics(tmp_path / "on.h5")
    assert set(on) - set(off) == NAMES
    for name in set(off) - {"overhead_bits"}:
        assert name.startswith("time_") or off[name].tobytes() == on[name].tobytes(), name
    due = np.arange(8) % 3 == 0
    for name in NAMES:
        first = name == "diag_smoothness"  # of which two diagnoses are needed
        assert np.isnan(on[name][~due]).all() and np.isfinite(on[name][due][first:]).all(), name
    extra = on["overhead_bits"] - off["overhead_bits"]
    assert (extra[due] - extra[~due][0] >= 4 * 32 * on["x"].size).all()
    assert len(set(extra[~due])) == 1


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_is_measured_is_what_it_says(kind, tmp_path):
    raw = config(kind, str(tmp_path / "run.h5"), diagnostics={"every": 1}, dtype="float64", iterations=1)
    run(raw)
    found = metrics(tmp_path / "run.h5")
    setting = ready(raw)
    problem, x = setting.problem, setting.problem.initial_point()
    exact, drawn, sent, values = np.zeros((4, x.size)), np.zeros((4, x.size)), np.zeros((4, x.size)), []
    for node in range(4):
        values.append(problem.full_gradient(x, node, exact[node]))
        problem.gradient(x, node, 0, drawn[node])
        codec.to_dense(setting.pipeline.apply(drawn[node].copy(), node, 0)[0], sent[node])
    full, g = exact.mean(axis=0), sent.mean(axis=0)
    expected = {
        "value": np.mean(values),
        "gradient": full @ full,
        "bias": (g - full) @ (g - full),
        "cosine": g @ full / np.sqrt(g @ g * (full @ full)),
        "error": (g - full) @ (g - full),
        "momentum": g @ g,
        "heterogeneity": ((exact - full) ** 2).sum(axis=1).mean(),
        "variance": ((drawn - exact) ** 2).sum(axis=1).mean(),
        "stage_0": (((sent - drawn) ** 2).sum(axis=1) / (drawn**2).sum(axis=1)).mean(),
    }
    for name, value in expected.items():
        assert found[f"diag_{name}"][0] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_repeated_draws_tell_bias_from_noise(tmp_path):
    """The composite estimate's bias has a formula; minibatches have none."""
    raw = config("composite", str(tmp_path / "a.h5"), bias=[], dtype="float64", iterations=2, step_size=1.0)
    run(raw | {"diagnostics": {"every": 1, "repeats": 4000}})
    problem, found = ready(raw).problem, metrics(tmp_path / "a.h5")
    run(raw | {"output": str(tmp_path / "b.h5")} | {"iterations": 1})
    x = metrics(tmp_path / "b.h5")["x"]
    bias = np.mean([problem.bias(x, node) for node in range(4)], axis=0)
    assert found["diag_mean_bias"][1] == pytest.approx(bias @ bias, rel=0.3)
    assert found["diag_noise"][1] > bias @ bias
    raw = config("mlp", str(tmp_path / "c.h5"), bias=[], diagnostics={"every": 1, "repeats": 30}, iterations=20)
    run(raw)
    found = metrics(tmp_path / "c.h5")
    assert found["diag_noise"].mean() == pytest.approx(found["diag_bias"].mean(), rel=0.3)
    assert found["diag_noise"].mean() == pytest.approx(found["diag_variance"].mean() / 4, rel=0.3)
    assert abs(found["diag_mean_bias"].mean()) < 0.1 * found["diag_bias"].mean()


def test_full_gradients_are_those_of_full_batches():
    raw = config("full mlp", "unused.h5", dtype="float64")
    problem = ready(raw).problem
    x = problem.initial_point()
    full, drawn = np.zeros((2, x.size))
    assert problem.full_gradient(x, 2, full) == problem.gradient(x, 2, 0, drawn)[0]
    assert np.array_equal(full, drawn)


def test_where_nothing_exact_is_known_it_is_refused():
    raw = config("mlp", "unused.h5", diagnostics={"every": 1})
    for changes, line in (({"problem": {"kind": "cartpole"}, "data": None, "nodes": 4, "gradient": {}}, "no exact"),
                          ({"bias": [{"kind": "clip_per_sample", "tau": 1.0}]}, "clip_per_sample"),
                          ({"bias": ["ef14", {"kind": "top_k", "k": 3}], "diagnostics": {"every": 1, "repeats": 2}},
                           "cannot be drawn again")):  # fmt: skip
        with pytest.raises(UserError, match=f"diagnostics.*: .*{line}"):
            validate({key: value for key, value in (raw | changes).items() if value is not None})


def test_stages_and_memories_are_measured_on_every_node(tmp_path):
    """Top-K behind a clip and EF14: what each drops, by hand, and at the nodes."""
    bias = [{"kind": "clip_norm", "tau": 0.2}, "ef14", {"kind": "top_k", "fraction": 0.3}, {"kind": "natural"}]
    raw = config("full mlp", str(tmp_path / "run.h5"), dtype="float64", iterations=2, bias=bias)
    run(raw | {"diagnostics": {"every": 1}, "record": {"nodes": True}})
    found = metrics(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r") as file:
        nodes = {name: values[()] for name, values in file["nodes"].items()}
    alone = [metrics_of for metrics_of in found if metrics_of.startswith(("diag_stage", "diag_memory"))]
    assert set(alone) == {"diag_stage_0", "diag_stage_2", "diag_stage_3", "diag_memory_1_excess"}
    for name in [*alone, "diag_value", "diag_variance"]:
        assert nodes[name].shape == (2, 4) and nodes[name].mean(axis=1) == pytest.approx(found[name], rel=1e-12)
    problem = ready(raw).problem
    g = np.empty(found["x"].size)
    problem.full_gradient(problem.initial_point(), 3, g)
    clipped = 0.2 / (np.linalg.norm(g) + 1e-6) * g
    assert nodes["diag_stage_0"][0, 3] == pytest.approx(((clipped - g) ** 2).sum() / (g @ g))
    kept = np.where(np.abs(clipped) >= np.sort(np.abs(clipped))[-round(0.3 * g.size)], clipped, 0)
    assert nodes["diag_stage_2"][0, 3] == pytest.approx(((kept - clipped) ** 2).sum() / (clipped @ clipped))
    assert nodes["diag_gradient"][0, 3] == pytest.approx(g @ g)
    assert (nodes["diag_stage_3"] < 1 / 8).all()  # natural compression's omega
    assert (nodes["diag_memory_1_excess"] > 0).all()


@pytest.mark.parametrize("downlink", [[], [{"kind": "top_k", "fraction": 0.5}]])
def test_the_smoothness_that_is_seen_is_that_of_a_quadratic(tmp_path, downlink):
    raw = {
        "name": "seen", "iterations": 30, "step_size": 0.5, "dtype": "float64", "nodes": 4, "downlink": downlink,
        "problem": {"kind": "composite_regression", "dimension": 5, "outputs": 6, "inner_samples": "exact"},
        "output": str(tmp_path / "run.h5"), "diagnostics": {"every": 3},
    }  # fmt: skip
    run(raw)
    seen = metrics(tmp_path / "run.h5")["diag_smoothness"]
    problem = ready(raw).problem
    assert np.isnan(seen[0]) and np.isfinite(seen[3::3]).all()
    assert (seen[3::3] <= problem.smoothness * (1 + 1e-9)).all() and (seen[3::3] >= problem.pl_constant).all()


def test_heavy_ball_is_measured_as_the_average_that_it_is(tmp_path):
    raw = config("full mlp", str(tmp_path / "a.h5"), diagnostics={"every": 1}, dtype="float64")
    run(raw | {"momentum": {"kind": "ema", "beta": 0.3, "start": "zero"}, "step_size": 0.1})
    run(raw | {"momentum": {"kind": "heavy_ball", "beta": 0.7}, "step_size": 0.03, "output": str(tmp_path / "b.h5")})
    ema, heavy = metrics(tmp_path / "a.h5"), metrics(tmp_path / "b.h5")
    for name in ("diag_error", "diag_momentum", "diag_smoothness"):
        assert heavy[name] == pytest.approx(ema[name], rel=1e-6, nan_ok=True)


def test_the_file_says_at_which_point(tmp_path):
    run(
        config("full mlp", str(tmp_path / "a.h5"), diagnostics={"every": 4}, momentum={"kind": "nesterov", "beta": 0.5})
    )
    run(config("full mlp", str(tmp_path / "b.h5"), diagnostics={"every": 4}, downlink=[{"kind": "top_k", "k": 9}]))
    for name, words in (("a", "at x^k, the point looked ahead to"), ("b", "at w^k")):
        with h5py.File(tmp_path / f"{name}.h5", "r") as file:
            assert words in file["metrics/diag_bias"].attrs["description"]


def test_a_run_that_goes_on_says_what_one_that_never_stopped_says(tmp_path):
    raw = config("mlp", str(tmp_path / "whole.h5"), diagnostics={"every": 2}, iterations=9)
    run(raw)
    run(raw | {"output": str(tmp_path / "parts.h5"), "iterations": 5, "checkpoint": {"every": 5}})
    resume(tmp_path / "parts.h5", extend=9)
    whole, parts = metrics(tmp_path / "whole.h5"), metrics(tmp_path / "parts.h5")
    for name in NAMES:
        assert whole[name].tobytes() == parts[name].tobytes(), name
