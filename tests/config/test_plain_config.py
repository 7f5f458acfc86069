"""What a config may be written with, in a file, with -s and from Python."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import pmom_mpi
from pmom_mpi.analysis.read import load as read_run
from pmom_mpi.config import amend, from_raw, load, parse, to_yaml
from pmom_mpi.words.errors import UserError

RAW = {
    "name": "t", "iterations": 2, "step_size": 0.1, "data": {"name": "digits", "nodes": 3},
    "problem": {"kind": "mlp", "hidden": [4]},
}  # fmt: skip


def test_what_a_script_holds_is_taken_and_written_as_plain_yaml(tmp_path):
    raw = RAW | {
        "iterations": np.int64(2), "step_size": np.float32(0.5), "seed": np.uint8(3), "output": tmp_path / "own.h5",
        "data": {"name": Path("digits"), "nodes": np.array(3)},
        "problem": {"kind": "mlp", "hidden": np.array([4, 5]), "l2": np.float64(0.25)},
        "bias": ({"kind": "top_k", "k": np.int32(7)},), "evaluate": {"every": np.int64(0)},
        "wire": {"checksum": np.bool_(True)},
    }  # fmt: skip
    result = pmom_mpi.run(raw)
    assert result.status == "finished" and raw["problem"]["hidden"].tolist() == [4, 5]
    written = read_run(tmp_path / "own.h5").config
    assert written["problem"] == {"kind": "mlp", "hidden": [4, 5], "l2": 0.25}
    assert (written["iterations"], written["step_size"], written["seed"]) == (2, 0.5, 3)
    assert written["bias"] == [{"kind": "top_k", "k": 7}] and written["output"] == str(tmp_path / "own.h5")
    assert written["wire"] == {"checksum": True} and written["data"] == {"name": "digits", "nodes": 3}


@pytest.mark.parametrize(
    "value, words",
    [(print, "problem.l2: a builtin_function_or_method"), ({1, 2}, "problem.l2: a set"), (1j, "problem.l2: a complex")],
)
def test_what_yaml_has_no_word_for(value, words):
    with pytest.raises(UserError, match=words):
        amend(RAW | {"problem": {"kind": "mlp", "l2": value}})


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e2", 100), ("1E+2", 100), ("-1e2", -100), ("2.5e-3", 0.0025), ("1e-3", 0.001), ("1e300", 1e300),
        ("012", 12), ("-007", -7), ("0012.5", 12.5), ("1_000", 1000), ("0x10", 16), ("1:30", "1:30"), (".5", 0.5),
        ("5.", 5.0), ("'012'", "012"), ("'1e2'", "1e2"), ("1.e3", 1000.0), ("abc", "abc"),
    ],
)  # fmt: skip
def test_numbers_in_files_and_in_overrides(text, value):
    assert amend({}, [f"a={text}"]) == {"a": value}
    for found in (parse(f"a: {text}", "x")["a"], amend({}, [f"a={text}"])["a"]):
        assert type(found) is type(value)
    assert parse(f"a: {text}", "x") == {"a": value}


def test_whole_numbers_and_leading_zeros_in_a_config():
    config = from_raw(amend(RAW, ["iterations=1e2", "seed=012", "problem.hidden=[1e1]"]))
    assert (config.iterations, config.seed, config.make_problem().hidden) == (100, 12, (10,))
    with pytest.raises(UserError, match="iterations"):
        from_raw(amend(RAW, ["iterations=1.5e0"]))


WORDS = st.characters(codec="latin-1", categories=("L", "N", "P", "S"))


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(WORDS, max_size=8)
    | st.sampled_from(["012", "1e2", "1:30", "0x1f", "0o17", "yes", "1_0", ".5", "null", "2024-01-01", "1.0e+2"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(WORDS, min_size=1, max_size=5), inner),
    max_leaves=8,
))  # fmt: skip
def test_what_is_written_is_read_back(value):
    text = to_yaml({"a": value})
    assert parse(text, "x") == {"a": value}
    assert yaml.safe_load(text) == {"a": value}  # and by others


def test_a_blank_behind_the_colon():
    with pytest.raises(UserError, match=r"gradient\.batch:64: YAML wants a blank after the colon: 'batch: 64'"):
        from_raw(amend(RAW, ["gradient={batch:64}"]))
    with pytest.raises(UserError, match=r"momentum\.beta:1: YAML wants a blank"):
        from_raw(amend(RAW, ["momentum={kind: ema, beta:1}"]))
    with pytest.raises(UserError, match=r"gradient\.size: unknown key; known here: batch, order"):
        from_raw(amend(RAW, ["gradient={size: 64}"]))


def test_keys_given_twice_are_refused_on_the_command_line_too():
    for make in (lambda: parse("a: 1\na: 2", "x"), lambda: amend({}, ["a={b: 1, b: 2}"])):
        with pytest.raises(UserError, match="given twice"):
            make()


def test_aliases_that_grow_without_bound():
    rows = ["a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(UserError, match="more than 100,000 values"):
        parse("\n".join(rows), "x")
    with pytest.raises(UserError, match="stands for itself"):
        parse("a: &a [*a]", "x")
    assert parse("a: &a [1, 2]\nb: *a", "x") == {"a": [1, 2], "b": [1, 2]}


def test_a_config_is_frozen_and_makes_new_problems():
    config = from_raw(RAW)
    one, two = config.make_problem(), config.make_problem()
    assert one == two and one is not two
    with pytest.raises(FrozenInstanceError):
        config.seed = 1


def test_data_beside_the_config(tmp_path, monkeypatch):
    folder = tmp_path / "configs"
    folder.mkdir()
    np.savez(folder / "own.npz", x_train=np.eye(4), y_train=np.arange(4))
    (folder / "own.yaml").write_text("data: {name: own.npz, nodes: 1, test: own.npz}")
    (folder / "digits").mkdir()
    (folder / "named.yaml").write_text("data: {name: digits, nodes: 1}")
    monkeypatch.chdir(tmp_path)
    whole = str(folder / "own.npz")
    assert load("configs/own.yaml")["data"] == {"name": whole, "nodes": 1, "test": whole}
    assert load("configs/named.yaml")["data"]["name"] == "digits"  # a name goes before a path
    monkeypatch.chdir(folder)
    assert load("own.yaml")["data"]["name"] == "own.npz"


def test_a_key_that_is_no_text_is_an_unknown_key():
    with pytest.raises(UserError, match=r"data\.10: unknown key"):
        from_raw(RAW | {"data": {"name": "digits", "nodes": 2, 10: 1}})
