"""Ready configs and sweeps by their names, and the list of them."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from pmom_mpi.campaign import sweep_file
from pmom_mpi.cli import main
from pmom_mpi.config import places


def said(*words):
    done = CliRunner().invoke(main, words)
    return done.exit_code, done.output


def test_the_list_begins_with_the_quickstart_has_every_name_and_ends_with_what_to_do():
    code, text = said("configs")
    names = re.findall(r"^  (\S+) ", text, re.M)
    assert code == 0 and names[0] == "quickstart" and sorted(names) == sorted(places.ready() | places.sweeps())
    last = text.splitlines()[-1]
    assert "pmom run quickstart" in last and "pmom init quickstart" in last


def test_a_ready_sweep_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sweep_file.load("paper-mnist").folder.name == "paper-mnist"
    code, text = said("sweep", "sweep", "--dry-run")
    assert code == 0 and "20 runs -> results/sweep: 20 waiting" in text


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("run sweep", "sweep: a sweep file, which means many runs: pmom sweep"),
        ("validate paper-mnist", "pmom sweep, or pmom submit, takes it"),
        ("sweep quickstart", "a config of one run, which pmom run takes"),
        ("sweep paper-mnst", "did you mean 'paper-mnist'?"),
    ],
)
def test_a_config_and_a_sweep_are_told_apart(line, right):
    code, text = said(*line.split())
    assert code == 2 and text.count("\n") == 1 and right in text
