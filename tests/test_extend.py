"""The operators of examples/my_operators.py, as docs/extend.md tells users to write theirs."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pmom_mpi import config as configs
from pmom_mpi.analysis import read
from pmom_mpi.measure.bias import measure
from pmom_mpi.runtime import setting as preparation
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Message, WireError
from pmom_mpi.words.errors import UserError

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "examples" / "my_operators.yaml"


def test_operators_of_ones_own_train_over_mpi_and_alone_with_the_same_bits(mpirun, tmp_path):
    for name in ("my_operators.py", "my_operators.yaml"):
        shutil.copy(CONFIG.with_name(name), tmp_path)
    runs = []
    for ranks in (1, 3):
        file = tmp_path / f"{ranks}.h5"
        done = mpirun(ranks, ["run", str(tmp_path / "my_operators.yaml"), "-o", str(file)])
        assert done.returncode == 0, done.stderr
        runs.append(read.load(file))
    for name in ("train_loss", "test_accuracy", "kept", "uplink_bits"):
        np.testing.assert_array_equal(*(run.metrics[name] for run in runs))
    metrics = runs[0].metrics
    assert (metrics["kept"] <= 500).all() and (metrics["uplink_bits"] < 4 * 500 * 32).all()
    assert metrics["train_loss"][-1] < 0.25 * metrics["train_loss"][0]
    assert metrics["test_accuracy"][-1] > 0.85


def test_a_codec_of_ones_own_travels_over_mpi_and_alone_with_the_same_bits(mpirun, tmp_path):
    runs = []
    for ranks in (1, 3):
        file = tmp_path / f"{ranks}.h5"
        bias = 'bias=[ef14, {kind: "my_operators:BlockTop", size: 501}, "my_operators:FourLevels"]'
        done = mpirun(ranks, ["run", str(CONFIG), "-o", str(file), "-s", bias, "-s", "iterations=60"])
        assert done.returncode == 0, done.stderr
        runs.append(read.load(file))
    for name in ("train_loss", "test_accuracy", "uplink_bits"):
        np.testing.assert_array_equal(*(run.metrics[name] for run in runs))
    assert (runs[0].metrics["uplink_bits"] < 4 * 5 * 501).all()
    assert runs[0].metrics["train_loss"][-1] < 0.7 * runs[0].metrics["train_loss"][0]


@pytest.fixture
def quarters():
    """The codec of examples/my_operators.py, as `pmom` finds it."""
    configs.allow_modules([str(CONFIG.parent)])
    return importlib.import_module("my_operators").Quarters


@given(codes=st.lists(st.integers(0, 3), max_size=40), scale=st.floats(0, 1e3, width=32))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_its_bytes_are_its_values(quarters, codes, scale):
    values = quarters(np.array(codes, np.uint8), scale)
    message = Message(len(codes), Everything(), values)
    payload = np.empty(codec.bits(message) // 8, np.uint8)
    assert codec.encode(message, payload) == payload.size and payload[5] == 128
    total, seen = np.zeros((2, len(codes)), np.float32)
    codec.add(payload, total)
    codec.to_dense(codec.decode(payload), seen)
    np.testing.assert_array_equal(total, np.float32(scale) * (np.array(codes, np.float32) - np.float32(1.5)))
    np.testing.assert_array_equal(seen, total)
    for wrong in (payload[:-1], np.append(payload, np.uint8(0))):
        with pytest.raises(WireError):
            codec.decode(wrong)


def test_it_is_measured(quarters):
    (row,) = measure(CONFIG, ["bias=my_operators:FourLevels"], nodes=2)
    assert row.kind == "other" and max(row.errors) < 0.6
    np.testing.assert_allclose(row.theory_bits, 2)
    np.testing.assert_allclose(row.bits, 2, rtol=0.1)


def test_its_bias_is_measured_like_that_of_any_other():
    found = {row.label: row for row in measure(CONFIG, nodes=2)}
    block = found["my_operators:BlockTop size 500"]
    assert block.kind == "contractive" and block.known.startswith("alpha 0.2")
    assert max(block.errors) <= 1 - float(block.known.split()[1])


@pytest.mark.parametrize(
    "override, words",
    [
        ("bias.2.size=0", r"bias\[2\]\.size: .*not 0"),
        ("bias.2.size=99999", r"bias\[2\]\.size: 99999 is more than d = 2410"),
        ("bias.2.length=3", r"bias\[2\]\.length: unknown key"),
        ("momentum.kind=my_operators:Momentum", "cannot import 'my_operators:Momentum'"),
        ("momentum.kind=':Momentum'", "':Momentum' names no module"),
        ("momentum.kind=..operators:Momentum", "names no module"),
    ],
)
def test_their_keys_are_checked_like_those_of_any_other(override, words):
    with pytest.raises(UserError, match=words):
        preparation.validate(CONFIG, [override])


@pytest.mark.parametrize(
    "text, words",
    [
        ("def f(:\n", r"cannot import 'broken_part:F': .*\(broken_part\.py, line 1\)"),
        ("x = 1\n1 / 0\n", r"cannot import 'broken_part:F': .*broken_part\.py:2: ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_does_not_run_is_one_line_that_names_its_line(text, words, tmp_path, monkeypatch):
    (tmp_path / "broken_part.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=words):
        preparation.validate(CONFIG, ["momentum.kind=broken_part:F"])


@pytest.mark.parametrize(
    "config, overrides, told",
    [
        ("my_operators", [], ["my_operators:ClipTanh", "my_operators:BlockTop", "my_operators:NormalizedMomentum"]),
        ("my_operators", ["bias=none", "momentum=sgd", "downlink=[{kind: 'my_operators:BlockTop', size: 500}]"],
         ["my_operators:BlockTop"]),
        ("localization", [], ["localization:Localization"]),
        ("quickstart", [], []),
    ],
)  # fmt: skip
def test_validate_names_the_files_whose_code_runs(config, overrides, told):
    lines = [line for line in preparation.validate(config, overrides) if line.startswith("runs code of")]
    assert lines == [f"runs code of {ROOT / 'examples' / name.split(':')[0]}.py ({name})" for name in told]


def test_validate_names_the_code_of_a_torch_model():
    pytest.importorskip("torch")
    lines = preparation.validate("convnet", ["problem.loss=cross_entropy"])
    assert f"runs code of {ROOT / 'examples' / 'convnet.py'} (convnet:make_model)" in lines
