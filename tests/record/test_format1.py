"""A run file that was written in format 1 (softmax regression on the digits, 5 iterations, Top-K) stays readable."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner

from pmom_mpi.analysis import read
from pmom_mpi.cli import main
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.words.errors import UserError

PACKED = Path(__file__).parent / "format1.h5.gz"


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "run.h5"
    path.write_bytes(gzip.decompress(PACKED.read_bytes()))
    return path


def test_its_numbers_and_what_they_are(old):
    run = read.load(old)
    assert (run.attributes["format_version"], run.status, run.iterations, run.nodes) == (1, "finished", 5, 4)
    assert run.facts["dimension"] == 650 and run.facts["nodes_per_worker"].tolist() == [4]
    assert run.facts["data_smallest_shard"] == 375.0
    accuracy = run.described["test_accuracy"]
    assert (accuracy.rises, accuracy.role, accuracy.headline) == (True, "test", True)
    assert (run.described["train_loss"].rises, run.described["kept"].rises) == (False, None)
    assert run.described["uplink_bits"].unit == "bit"
    assert [metric.name for metric in run.told[:2]] == ["train_loss", "test_accuracy"]


def test_the_commands_take_it(old, tmp_path):
    for words in (["show", str(old)], ["plot", str(old), "-o", str(tmp_path / "old.png")]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output


def test_it_is_not_gone_on_with(old):
    before = old.read_bytes()
    with pytest.raises(UserError, match="of format 1; only run files of format 2"):
        Recorder.reopen(old, 3)
    assert old.read_bytes() == before and list(old.parent.iterdir()) == [old]
