"""What a person sees on a terminal of 80 columns, which is a real one here: no line is longer, no number is cut."""

from __future__ import annotations

import io
import re
import shlex
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pmom_mpi.analysis.tables import Table
from pmom_mpi.commands.tables import on_terminal
from pmom_mpi.runtime.progress import bar

from .terminal import lines, written

PMOM = [sys.executable, "-m", "pmom_mpi"]
LOOKING = [
    "show r.h5", "show --all --payoff s.h5", "show r.h5 s.h5", "status .", "compare r.h5 s.h5", "compare .",
    "validate quickstart", "validate my_operators", "doctor", "bias quickstart --all --nodes 1 --repeats 3",
    "bench operators --size 1024 --repeats 1", "configs", "explain", "explain top_k", "explain data", "init --list",
    "data list", "check-problem quickstart -s gradient.batch=8", "check-operator top_k -s k=3",
]  # fmt: skip
ALL = """
import shlex, sys
from pmom_mpi.cli import main
def helped(command, *words):
    yield ' '.join((*words, '--help'))
    for name in getattr(command, 'commands', {}):
        yield from helped(command.commands[name], *words, name)
for line in [*sys.argv[1:], *helped(main)]:
    print('$', line, flush=True)
    try:
        main(shlex.split(line))
    except SystemExit as ended:
        print('status', ended.code, flush=True)
"""
"""Calls pmom with every argument, and asks every command for help."""
SHORT = "-s iterations=300 -s evaluate.every=50"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With runs of one process and of three ranks, as they were told on the terminal."""
    place = tmp_path_factory.mktemp("runs")
    alone = written([*PMOM, *shlex.split(f"run quickstart {SHORT} -o r.h5")], place)
    launched = written([*PMOM, *shlex.split(f"launch -n 3 quickstart --payoff {SHORT} -s seed=1 -o s.h5")], place)
    return place, alone, launched


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_run_is_a_bar_that_is_drawn_again_and_again(folder, ranks):
    status, text = folder[1] if ranks == 1 else folder[2]
    assert status == 0, text
    shown = lines(text)
    drawn = [frame for line in shown for frame in line if re.search(r"[━] +\d+/300", frame)]
    assert len(drawn) > 1 and "300/300  loss 0." in drawn[-1] and "ETA 0:00:00" in drawn[-1]
    assert len(drawn) > sum(bool(re.search(r"\d+/300", line[-1])) for line in shown), "lines below each other"
    assert [frame for line in shown for frame in line if len(frame) > 80 or "…" in frame] == []
    assert any(line[-1].startswith("finished after 300 iterations") for line in shown)


def test_under_mpirun_without_a_terminal_it_is_lines(mpirun, tmp_path):
    done = mpirun(2, ["run", "quickstart", "-s", "iterations=20", "-o", str(tmp_path / "r.h5")])
    rows = [line for line in done.stderr.splitlines() if re.match(r" *\d+/20  loss", line)]
    assert done.returncode == 0 and len(rows) >= 10 and "\r" not in done.stderr and "\x1b" not in done.stderr


def test_every_command_that_shows_something_and_all_help(folder):
    status, text = written([sys.executable, "-c", ALL, *LOOKING], folder[0])
    shown = [line[-1] for line in lines(text)]
    assert status == 0 and sum(line.startswith("$ ") for line in shown) > len(LOOKING) + 20, text[-2000:]
    assert {line for line in shown if line.startswith("status ")} <= {"status 0", "status 1"}  # a doctor's finding
    assert [line for line in shown if len(line) > 80 or "…" in line] == []
    for words in ("on this run's link", "x fewer", "pays below", "digits: 1,500 training samples"):
        assert words in text


def test_columns_count_where_there_is_no_terminal(monkeypatch, capsys):
    from pmom_mpi.cli import main

    for width in (80, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        with pytest.raises(SystemExit):
            main(["explain"])
        assert width - 10 < max(map(len, capsys.readouterr().out.splitlines())) <= width


numbers = st.floats(allow_nan=False).map(lambda value: f"{value:.6g}")


@given(st.lists(st.tuples(st.text("abc ", max_size=40), *[numbers] * 9), min_size=1, max_size=5), st.integers(50, 150))
def test_a_table_of_any_width_shows_every_number_whole(rows, width):
    heads = ("name", *(f"a head of column {place}" for place in range(9)))
    stream = io.StringIO()
    Console(file=stream, width=width).print(on_terminal([Table("", heads, tuple(rows))]))
    shown = stream.getvalue()
    assert max(map(len, shown.splitlines())) <= width and "…" not in shown
    found = shown.split()
    assert all(found.count(cell) >= sum(row.count(cell) for row in rows) for row in rows for cell in row[1:])


@given(
    st.floats(0, 1), st.lists(st.from_regex(r"[a-z]{1,9} [0-9]{1,9}", fullmatch=True), min_size=1), st.integers(21, 99)
)
def test_a_bar_of_any_width_is_one_line_of_whole_facts(part, facts, width):
    shown = str(bar(part, tuple(facts), width))
    assert len(shown) <= width
    kept = shown.lstrip("━").split("  ")[1:]
    assert kept[0] == facts[0] and set(kept) <= set(facts)
