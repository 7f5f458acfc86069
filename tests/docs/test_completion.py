"""What the shell offers, asked as bash asks."""

from __future__ import annotations

import os
import subprocess
import sys

SHORT = "iterations: 2\nstep_size: 0.1\nproblem: {kind: mlp, hidden: [8]}\ndata: {name: digits, nodes: 2}\n"


ASKED = """
import os, sys
from pmom_mpi.cli import main
for words in sys.argv[1:]:
    os.environ.update(COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    try:
        main(prog_name="pmom")
    except SystemExit:
        print("--")
"""
"""Completes every line that it is given, as bash would have it complete one; a line "--" after each."""


def offered(cwd, *lines: str) -> list[list[str]]:
    """The completions of the last word of each line."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED, *lines], capture_output=True, text=True, timeout=60, check=True, cwd=cwd,
        env=os.environ | {"_PMOM_COMPLETE": "bash_complete"},
    )  # fmt: skip
    *found, _ = done.stdout.split("--\n")
    return [[line.partition(",")[2] for line in text.splitlines()] for text in found]


EXPECTED = {
    "pmom run quick": ["quickstart"],
    "pmom explain clip_n": ["clip_norm"],
    "pmom run quickstart -s bias.0.f": ["bias.0.fraction="],
    "pmom run quickstart -s momentum.kind=he": ["momentum.kind=heavy_ball"],
    "pmom run quickstart -s dtype=": ["dtype=float32", "dtype=float64"],
    "pmom run quickstart -s data.partition.kind=d": ["data.partition.kind=dirichlet"],
    "pmom validate mnist-clip1 -s bias.0.sc": ["bias.0.scope="],
    "pmom data get fash": ["fashion-mnist"],
    "pmom run quickstart -s data.name=dig": ["data.name=digits"],
    "pmom init own-": ["own-problem", "own-operators"],
}


def test_names_are_completed(tmp_path):
    found = dict(zip(EXPECTED, offered(tmp_path, *EXPECTED), strict=True))
    assert {words: names[: len(EXPECTED[words])] for words, names in found.items()} == EXPECTED


def test_metrics_of_a_run_are_completed(tmp_path):
    (tmp_path / "c.yaml").write_text(SHORT)
    run = [sys.executable, "-m", "pmom_mpi", "run", "c.yaml", "-o", "r.h5", "-q"]
    subprocess.run(run, cwd=tmp_path, check=True, timeout=120)
    assert "train_loss" in offered(tmp_path, "pmom plot r.h5 -m train_")[0]


def test_a_config_that_cannot_be_read_still_offers_what_all_have(tmp_path):
    assert "seed=" in offered(tmp_path, "pmom run nowhere.yaml -s se")[0]


def test_the_command_line_starts_without_numpy():
    script = "import sys, pmom_mpi.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0
