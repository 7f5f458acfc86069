"""Ready configs and sweeps by their names, and the list of them."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from pmom_mpi.campaign import sweep_file
from pmom_mpi.cli import main
from pmom_mpi.config import places


def said(*words):
    done = CliRunner().invoke(main, words, prog_name="pmom")
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


PLAIN = "iterations: 2\nstep_size: 0.1\nproblem: softmax_regression\n"


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("--foo", "pmom: error: no such option '--foo' (pmom -h says more)"),
        ("run", "pmom run: error: missing argument 'CONFIG' (pmom run -h says more)"),
        ("launch -n 3 quickstart --foo", "pmom run: error: no such option '--foo' (pmom run -h says more)"),
        ("run quickstart -o results", "pmom: error: -o results: has no ending; the name of a run file ends with .h5"),
        ("run quickstart -o .", ". is a directory; name a file in it"),
        ("run quickstart -s step_size=", "step_size: should be a valid number, not empty"),
        ("run quickstart -s iterations=x", "iterations: should be a valid integer, not 'x'"),
        ("run quickstart -s name=a/b", "name: should have no slash and no space, not 'a/b'"),
        ("validate c.yaml", "c.yaml: data: this key is required, with a name and nodes"),
        ("validate c.yaml -s data.name=digits", "c.yaml: data.nodes: this key is required"),
        ("resume .", ".: a folder"),
        ("trace . -o x.json", ".: a folder; name one of the run files in it"),
        ("check-operator foo", "foo: neither a kind nor a config; pmom explain lists the kinds"),
        ("submit quickstart --time tomorrow --dry-run", "--time tomorrow: write minutes, hours as 04:00:00"),
        ("sweep s.yaml --dry-run", "s.yaml: base: quickstrt: neither a config from"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(line, right, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(PLAIN)
    (tmp_path / "s.yaml").write_text("base: quickstrt\nseeds: 2\n")
    code, text = said(*line.split())
    assert code == 2 and text.count("\n") == 1 and right in text
    assert {path.name for path in tmp_path.iterdir()} == {"c.yaml", "s.yaml"}
