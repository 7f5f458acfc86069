"""Many run files in one, which every reader takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from pmom_mpi.analysis import read
from pmom_mpi.cli import main
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

RAW = {
    "name": "small", "iterations": 4, "step_size": 0.5, "problem": {"kind": "softmax_regression"},
    "evaluate": {"every": 2}, "data": {"name": "digits", "nodes": 3}, "gradient": {"batch": 32},
    "diagnostics": {"every": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two seeds, one run in a folder below that was killed, and one of the first format."""
    made = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        experiment.run(RAW | {"seed": seed, "checkpoint": {"every": 2}}, output=made / f"step0.5-seed{seed}.h5")
    experiment.run(RAW | {"step_size": 0.1}, output=made / "deep" / "killed.h5")
    with h5py.File(made / "deep" / "killed.h5", "r+") as file:
        file.attrs["status"] = "running"
    return made


@pytest.fixture
def packed(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = said("pack", folder, "all.h5")
    assert code == 0 and text.startswith("all.h5: 3 runs, ")
    return "all.h5"


def said(*words):
    done = CliRunner().invoke(main, list(map(str, words)))
    return done.exit_code, done.output


def equal(one, other):
    return np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f")


def test_a_packed_run_is_the_run(folder, packed):
    assert [str(path) for path in read.run_files([packed])] == [
        "all.h5::deep/killed", "all.h5::step0.5-seed0", "all.h5::step0.5-seed1",
    ]  # fmt: skip
    for path in read.run_files([packed]):
        run, own = read.load(path), read.load(folder / f"{str(path).partition('::')[2]}.h5")
        assert (run.status, run.config, run.events, run.stem) == (own.status, own.config, own.events, own.stem)
        assert (run.described, run.provenance) == (own.described, own.provenance)
        assert list(run.metrics) == list(own.metrics) and run.facts.keys() == own.facts.keys()
        assert all(equal(run.metrics[name], own.metrics[name]) for name in own.metrics)
        assert all(equal(run.facts[name], own.facts[name]) for name in own.facts)
        assert equal(run.model(), own.model())
    assert read.load(f"{packed}::deep/killed").status == "killed after 4 of 4 iterations"


def test_every_reader_takes_it(folder, packed):
    whole = json.loads(said("show", "--json", packed)[1])
    assert [entry["path"] for entry in whole] == [str(path) for path in read.run_files([packed])]
    one = json.loads(said("show", "--json", f"{packed}::step0.5-seed0")[1])
    own = json.loads(said("show", "--json", folder / "step0.5-seed0.h5")[1])
    assert one | {"path": ""} == own | {"path": ""}
    code, text = said("show", f"{packed}::deep/killed")
    assert code == 0 and "killed after 4 of 4" in text and "pmom resume" not in text
    assert said("compare", packed) == said("compare", folder)
    states = [(entry["state"], entry["iteration"]) for entry in json.loads(said("status", packed, "--json")[1])]
    assert states == [("killed", 4), ("finished", 4), ("finished", 4)]
    code, text = said("status", packed)
    assert code == 0 and "deep/killed" in text and "step0.5-seed0 " in text and "::" not in text
    assert said("theory", f"{packed}::step0.5-seed1")[0] == 0
    assert said("plot", packed, "-o", "curves.png")[0] == 0
    code, text = said("plot", packed, "-o", "curves.png", "-m", "nonsense")
    assert code == 2 and "nonsense" in text


def test_packed_files_are_found_in_folders_and_can_be_packed_again(folder, packed, tmp_path):
    (tmp_path / "campaigns").mkdir()
    shutil.move(packed, tmp_path / "campaigns" / "mnist.h5")
    assert said("pack", "campaigns", "more.h5")[0] == 0
    assert str(read.run_files(["more.h5"])[0]) == "more.h5::mnist/deep/killed"
    assert (
        read.load("more.h5::mnist/step0.5-seed1").metrics.keys()
        == read.load(folder / "step0.5-seed1.h5").metrics.keys()
    )


def test_a_file_with_one_run_is_that_run(folder, tmp_path):
    assert said("pack", folder / "deep", tmp_path / "one.h5")[0] == 0
    assert read.load(tmp_path / "one.h5").iterations == 4


def test_it_says_what_it_is_and_is_plain_hdf5(packed):
    with open(packed, "rb") as raw:
        assert raw.readline().startswith(b"pmom packed runs: runs under /runs;")
    with h5py.File(packed, "r") as file:
        assert file["runs/deep/killed/metrics/train_loss"].shape == (4,)
        assert file["runs/step0.5-seed0"].attrs["status"] == "finished"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("show", "all.h5::step0.5-seed9"), "3 runs are packed in it; name one, such as all.h5::step0.5-seed"),
        (("theory", "all.h5"), "all.h5: 3 runs are packed in it; name one, such as all.h5::deep/killed"),
        (("show", "none.h5::a"), "none.h5: no such run file"),
        (("resume", "all.h5::deep/killed"), "packed runs are there to be read"),
        (("pack", "none", "x.h5"), "none: no such folder"),
        (("pack", "{folder}", "all.h5"), "all.h5: is there already; --overwrite replaces it"),
        (("pack", "{folder}", "{folder}/in.h5"), "lies in {folder}, whose runs would then be there twice"),
        (("pack", "{folder}", "/proc/x.h5"), "/proc/x.h5: cannot write it"),
        (("show", "{folder}/step0.5-seed0.h5::a"), "is no file of packed runs; give it without ::a"),
    ],
)
def test_what_cannot_be_is_one_line(packed, folder, words, line):
    code, text = said(*(word.format(folder=folder) for word in words))
    assert code == 2 and line.format(folder=folder) in text and text.count("\n") == 1


def test_a_damaged_one_is_one_line(packed, tmp_path):
    whole = (tmp_path / packed).read_bytes()
    for end in (100, 600, len(whole) // 2):
        (tmp_path / "cut.h5").write_bytes(whole[:end])
        with pytest.raises(UserError, match=r"cut\.h5: a damaged file of packed runs"):
            read.run_files([tmp_path / "cut.h5"])


def test_what_is_no_run_file_and_what_still_goes_on_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "mixed")
    with h5py.File(tmp_path / "mixed" / "other.h5", "w") as file:
        file["a"] = 1
    code, text = said("pack", tmp_path / "mixed", tmp_path / "x.h5")
    assert code == 2 and "other.h5: not a run file of pmom" in text and not (tmp_path / "x.h5").exists()
    (tmp_path / "mixed" / "other.h5").unlink()
    config, going = tmp_path / "long.yaml", tmp_path / "mixed" / "going.h5"
    config.write_text(json.dumps(RAW | {"iterations": 10_000_000}))
    process = subprocess.Popen([sys.executable, "-m", "pmom_mpi", "run", str(config), "-o", str(going), "-q"])
    try:
        while not going.exists():
            assert process.poll() is None
        code, text = said("pack", tmp_path / "mixed", tmp_path / "x.h5")
    finally:
        process.kill()
        process.wait()
    assert code == 2 and "going.h5: its run still goes on" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.yaml", "mixed"]
