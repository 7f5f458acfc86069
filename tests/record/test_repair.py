"""Run files of really killed writers: read as they are, repaired for programs that know nothing of SWMR."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import h5py
import pytest
from click.testing import CliRunner
from test_recorder import recorder, row

from pmom_mpi.analysis import read
from pmom_mpi.cli import main
from pmom_mpi.record.reading import opened
from pmom_mpi.record.repair import is_being_written, repair
from pmom_mpi.words.errors import UserError

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_recorder import recorder, row
written = recorder(sys.argv[1], flush_seconds=1e9)
for k in range(5000):
    written.append(row(k))
    if k < 4000 and (k + 1) % int(sys.argv[3]) == 0:
        written.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""

GROWING = "iterations: 1000000\nstep_size: 0.1\nproblem: {kind: mlp, hidden: [8]}\ndata: {name: digits, nodes: 4}\n"


def killed(path, rows_a_flush: int = 4000):
    """The file of a writer that was killed with 4000 rows flushed and 1000 more kept."""
    command = [sys.executable, "-c", KILLED, str(path), os.path.dirname(__file__), str(rows_a_flush)]
    assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
    return path


@pytest.mark.parametrize("rows_a_flush", [40, 4000])
def test_a_killed_writers_file_opens_normally_once_it_is_repaired(tmp_path, rows_a_flush):
    path = killed(tmp_path / "run.h5", rows_a_flush)
    with pytest.raises(OSError):
        h5py.File(path, "r")
    assert not is_being_written(path)
    before = read.load(path).metrics
    assert repair(path)
    assert not repair(path)
    with h5py.File(path, "r+") as file:
        assert file.attrs["status"] == "running"
        file["added"] = list(range(100000))  # a writer that trusts the end of the file
    after = read.load(path).metrics
    assert after["iteration"].tolist() == list(range(4000))
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)


def test_a_file_that_is_cut_short_is_not_repaired_into_garbage(tmp_path):
    path = killed(tmp_path / "run.h5")
    with path.open("r+b") as file:
        file.write(b"\0" * 64)
    with pytest.raises(UserError, match="not an HDF5 file"):
        repair(path)


def test_a_running_writers_file_is_left_alone(tmp_path):
    written = recorder(tmp_path / "run.h5")
    written.append(row(0))
    assert is_being_written(tmp_path / "run.h5")
    with pytest.raises(UserError, match="in use"):
        repair(tmp_path / "run.h5")
    with pytest.raises(UserError, match="still goes on"):
        recorder(tmp_path / "run.h5", overwrite=True)
    written.finish("finished")
    assert not repair(tmp_path / "run.h5")


def test_the_command(tmp_path):
    path = str(killed(tmp_path / "run.h5"))
    assert CliRunner().invoke(main, ["repair", path, path]).output == f"{path}: repaired\n{path}: needs no repair\n"
    missing = CliRunner().invoke(main, ["repair", str(tmp_path / "none.h5")])
    assert missing.exit_code == 2 and "No such file" in missing.output


def test_show_and_plot_read_a_run_that_goes_on_and_that_was_killed(tmp_path):
    (tmp_path / "grow.yaml").write_text(GROWING + "record: {flush_seconds: 0}\n")
    path = tmp_path / "grow.h5"
    command = [sys.executable, "-m", "pmom_mpi", "run", str(tmp_path / "grow.yaml"), "-o", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.lstrip().startswith("1/"):
            break
    try:
        for words in ("(running, ", "(killed after "):
            shown = CliRunner().invoke(main, ["show", str(path)])
            assert shown.exit_code == 0, shown.output
            assert words in shown.output
            picture = tmp_path / "grow.png"
            drawn = CliRunner().invoke(main, ["plot", str(path), "-o", str(picture)])
            assert drawn.exit_code == 0, drawn.output
            assert picture.stat().st_size > 5000
            process.kill()
            process.wait(timeout=60)
    finally:
        process.kill()
        process.communicate()


def test_a_file_that_is_replaced_while_it_is_looked_at_is_read(tmp_path):
    """As when a killed run is gone on with: the killed writer's file, then another in its place."""
    path, spare = killed(tmp_path / "run.h5"), tmp_path / "spare.h5"
    written = recorder(tmp_path / "whole.h5")
    for k in range(5):
        written.append(row(k))
    written.finish("finished")
    both = [(tmp_path / name).read_bytes() for name in ("run.h5", "whole.h5")]
    over = threading.Event()

    def replace():
        for turn in itertools.count():
            if over.is_set():
                return
            spare.write_bytes(both[turn % 2])
            os.replace(spare, path)
            time.sleep(0.01)

    replacing = threading.Thread(target=replace)
    replacing.start()
    seen = set()
    try:
        for _ in range(300):
            with opened(path) as file:
                seen.add(str(file.attrs["status"]))
    finally:
        over.set()
        replacing.join()
    assert seen == {"running", "finished"}
