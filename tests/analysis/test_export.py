"""What `pmom export` writes, and the run file itself, read by the programs they are for."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pmom_mpi
from pmom_mpi.analysis.export import export
from pmom_mpi.campaign.opening import open_runs
from pmom_mpi.cli import main
from pmom_mpi.record import pack

BASE = {
    "name": "sent", "iterations": 6, "step_size": 0.3, "momentum": {"kind": "ema", "beta": 0.5},
    "problem": {"kind": "softmax_regression"}, "data": {"name": "digits", "nodes": 2},
    "record": {"nodes": True}, "evaluate": {"every": 3},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs; the second ends at infinity."""
    place = tmp_path_factory.mktemp("sent")
    pmom_mpi.run(BASE, output=place / "one.h5")
    pmom_mpi.run(BASE | {"momentum": {"kind": "sgd"}, "step_size": 0.2}, output=place / "below" / "two.h5")
    return place


@pytest.fixture
def one(folder):
    return pmom_mpi.open_run(folder / "one.h5")


def said(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["export", *map(str, words)])
    return done.exit_code, done.output


def with_infinity(folder):
    """The runs, the loss of the last row of the first infinite."""
    runs = open_runs(folder / "one.h5", folder / "below")
    runs[0].metrics["train_loss"][-1] = np.inf
    return runs


def test_csv_holds_every_number_to_the_last_bit(folder, one, tmp_path):
    path = tmp_path / "new" / "one.csv"
    assert said(one.path, "-o", path) == (0, f"{path}: 6 iterations of 1 run\n")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(one.metrics) and len(rows) == 6
    for name, values in one.metrics.items():
        assert [float(row[name] or "nan") for row in rows] == pytest.approx(values.tolist(), rel=0, abs=0, nan_ok=True)
    assert [bool(row["test_loss"]) for row in rows] == np.isfinite(one.metrics["test_loss"]).tolist()
    assert not all(np.isfinite(one.metrics["test_loss"]))


def test_csv_and_json_lines_in_pandas(folder, tmp_path):
    pandas = pytest.importorskip("pandas", reason="the extra [analysis] is not installed")
    runs = with_infinity(folder)
    for read, name in (
        (pandas.read_csv, "r.csv"),
        (lambda path: pandas.read_json(path, lines=True, precise_float=True), "r.jsonl"),
    ):
        found = read(export(runs, tmp_path / name))
        assert found["run"].unique().tolist() == ["one", "two"] and found["step_size"].unique().tolist() == [0.3, 0.2]
        assert found["momentum"].unique().tolist() == ["ema (beta 0.5)", "sgd"]
        assert found["train_loss"].tolist() == [loss for run in runs for loss in run.metrics["train_loss"]], name
        assert found["test_loss"].isna().sum() == sum(np.isnan(run.metrics["test_loss"]).sum() for run in runs)


def test_json_lines_leave_out_what_was_not_measured(folder, tmp_path):
    runs = with_infinity(folder)
    lines = [json.loads(line) for line in export(runs, tmp_path / "r.jsonl").read_text().splitlines()]
    assert len(lines) == 12 and lines[5]["train_loss"] == "Infinity" and lines[5]["run"] == "one"
    assert ["test_loss" in line for line in lines[:6]] == np.isfinite(runs[0].metrics["test_loss"]).tolist()
    assert "NaN" not in (tmp_path / "r.jsonl").read_text()


def test_parquet_in_pandas(folder, tmp_path):
    pytest.importorskip("pandas", reason="the extra [analysis] is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [analysis] is not installed")
    import pandas

    runs = with_infinity(folder)
    path = export(runs, tmp_path / "r.parquet")
    found = pandas.read_parquet(path)
    assert found["uplink_bits"].dtype == np.int64 and found["run"].tolist() == ["one"] * 6 + ["two"] * 6
    for name in runs[0].metrics:
        assert np.array_equal(found[name], np.concatenate([run.metrics[name] for run in runs]), equal_nan=True), name
    schema = parquet.read_schema(path)
    assert schema.field("uplink_bits").metadata[b"unit"] == b"bit"
    assert parquet.read_table(path)["test_loss"].null_count == found["test_loss"].isna().sum() > 0


def test_tensorboard_reads_its_event_files(folder, tmp_path, caplog):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    logs, runs = tmp_path / "logs", with_infinity(folder)
    for _ in range(2):  # the second time in place of the first
        export(runs, logs, "tensorboard")
    assert sorted(path.parent.name for path in logs.rglob("*tfevents*")) == ["one", "two"]
    for run in runs:
        found = reader.EventAccumulator(str(logs / run.stem)).Reload()
        assert set(found.Tags()["scalars"] + found.Tags()["tensors"]) == set(run.metrics) - {"iteration"}
        for name in ("train_loss", "test_loss", "uplink_bits"):
            there, values = np.isfinite(run.metrics[name]) | np.isinf(run.metrics[name]), run.metrics[name]
            events = found.Scalars(name)
            assert [event.step for event in events] == np.flatnonzero(there).tolist()
            assert [event.value for event in events] == values[there].astype(np.float32).tolist()
        walls = [event.wall_time for event in found.Scalars("train_loss")]
        assert walls[-1] - walls[0] == pytest.approx(run.metrics["time_total"][1:].sum(), abs=1e-5)
    assert caplog.text == ""


def test_a_damaged_event_is_seen_by_tensorboard(folder, one, tmp_path):
    """Its own check of the sums: what it reads above, it reads because they are right."""
    loader = pytest.importorskip("tensorboard.compat.tensorflow_stub.pywrap_tensorflow", reason="no tensorboard")
    path = export(open_runs(one.path), tmp_path / "logs", "tensorboard") / "one" / "events.out.tfevents.pmom"
    content = bytearray(path.read_bytes())

    def events() -> int:
        reader, count = loader.PyRecordReader_New(str(path)), 0
        while True:
            try:
                reader.GetNext()
            except Exception:  # at the end, or at what is damaged
                return count
            count += 1

    assert events() == 7
    content[-20] ^= 1
    path.write_bytes(content)
    assert events() == 6


def test_runs_of_one_name_are_told_apart_by_their_folders(folder, tmp_path):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        shutil.copy(folder / "one.h5", tmp_path / part / "one.h5")
    with export(open_runs(tmp_path), tmp_path / "r.csv").open(newline="") as file:
        assert list(dict.fromkeys(row["run"] for row in csv.DictReader(file))) == ["a/one", "b/one"]


def test_packed_runs_and_those_of_the_first_format(folder, tmp_path):
    packed, old = tmp_path / "all.h5", tmp_path / "old.h5"
    assert CliRunner().invoke(main, ["pack", str(folder), str(packed)]).exit_code == 0
    old.write_bytes(gzip.decompress((Path(__file__).parents[1] / "record" / "format1.h5.gz").read_bytes()))
    for place, many in ((packed, 2), (f"{packed}::one", 1), (old, 1)):
        for name, more in (("r.csv", ()), ("logs", ("--format", "tensorboard"))):
            code, text = said(place, "-o", tmp_path / name, *more)
            assert code == 0 and f"of {many} run" in text, text


def test_what_cannot_be_written_is_said_in_a_line(one, tmp_path):
    for words, why in (
        (("-o", tmp_path / "x.xlsx"), "end it with .csv, .jsonl, .parquet"),
        (("-o", tmp_path / "x.csv" / "y.csv"), "cannot write it: "),
        (("-o", "/proc/x.csv"), "cannot write it: "),
    ):
        (tmp_path / "x.csv").touch()
        code, text = said(one.path, *words)
        assert code == 2 and why in text and text.count("\n") == 1, text


def test_a_missing_library_is_said_with_the_command_that_installs_it(one, tmp_path):
    """In a Python that does not find pyarrow."""
    source = f"""
import sys
sys.modules["pyarrow"] = None
from pmom_mpi.cli import main
main(["export", {str(one.path)!r}, "-o", {str(tmp_path / "r.parquet")!r}])
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "pip install 'pmom-mpi[analysis]'" in done.stderr, done.stderr
    assert not (tmp_path / "r.parquet").exists()


@pytest.mark.parametrize("group", ["metrics", "nodes"])
@pytest.mark.parametrize("packed", [False, True])
def test_xarray_reads_the_run_file(one, group, packed, tmp_path):
    xarray = pytest.importorskip("xarray", reason="the extra [analysis] is not installed")
    pytest.importorskip("h5netcdf", reason="the extra [analysis] is not installed")
    path, above = one.path, ""
    if packed:  # twice: out of a packed file, too
        pack.pack({"a/one": path}, tmp_path / "first.h5")
        pack.pack({"b/one": f"{tmp_path}/first.h5::a/one"}, tmp_path / "all.h5")
        path, above = tmp_path / "all.h5", "runs/b/one/"
    with xarray.open_dataset(path, group=above + group, engine="h5netcdf") as found:
        sizes = {"iteration": 6} | ({"node": 2} if group == "nodes" else {})
        assert dict(found.train_loss.sizes) == sizes
        ours = one.metrics if group == "metrics" else one.node_metrics
        assert np.array_equal(found.train_loss, ours["train_loss"])


def test_h5dump_reads_the_run_file(one):
    if not shutil.which("h5dump"):
        pytest.skip("h5dump is not installed")
    done = subprocess.run(
        ["h5dump", "-d", "/metrics/uplink_bits", str(one.path)], capture_output=True, text=True, timeout=60
    )
    numbers = ", ".join(map(str, one.metrics["uplink_bits"].tolist()))
    assert done.returncode == 0 and "H5T_STD_I64LE" in done.stdout
    assert numbers.split(", ")[0] in done.stdout and '"bit"' in done.stdout


SCRIPT = """
import sys, h5py
with h5py.File(sys.argv[1]) as file:
    print(file.attrs["status"], file["metrics"].keys() >= {"iteration", "train_loss"})
    loss = file["metrics/train_loss"]
    print(loss.attrs["unit"], loss.dims[0].keys(), loss.shape)
    each = file["nodes/train_loss"]
    print([label for dim in each.dims for label in dim.keys()], each[:].mean(axis=1)[-1] - loss[-1])
    sent = file["metrics/uplink_bits"][:].sum()
    print(int(sent))
"""


def test_a_plain_script_reads_the_run_file(one):
    done = subprocess.run([sys.executable, "-c", SCRIPT, one.path], capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[0] == "finished True" and lines[1] == "1 ['iteration'] (6,)", done.stderr
    assert lines[2].startswith("['iteration', 'node'] ") and abs(float(lines[2].split()[-1])) < 1e-12
    assert int(lines[3]) == one.metrics["uplink_bits"].sum()
