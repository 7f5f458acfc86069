"""`pmom watch` on a real terminal of 80 columns, beside a run that goes on."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from rich.console import Console

from pmom_mpi.analysis import read
from pmom_mpi.analysis.braille import chart
from pmom_mpi.commands.screen import screen
from pmom_mpi.runtime import experiment

RAW = {
    "name": "watched", "iterations": 10_000_000, "step_size": 0.5, "problem": "softmax_regression",
    "data": {"name": "digits", "nodes": 4}, "evaluate": {"every": 0}, "record": {"flush_seconds": 0},
}  # fmt: skip


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, *words, columns=80, lines=24):
        self.side, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color"}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pmom_mpi", *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs,
            env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.text = ""

    def until(self, pattern, seconds=90):
        """Read until a pattern has come, and return all that came after it began to wait."""
        deadline, self.text = time.monotonic() + seconds, ""
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text[-2000:]
            if select.select([self.side], [], [], 0.5)[0]:
                try:
                    self.text += re.sub(
                        r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(self.side, 65536).decode(errors="replace")
                    )
                except OSError:  # the other side is closed
                    assert re.search(pattern, self.text), self.text[-2000:]
        return self.text

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.side)


@pytest.fixture
def terminals():
    opened = []
    yield lambda *words, **size: opened.append(Terminal(*words, **size)) or opened[-1]
    for terminal in opened:
        terminal.close()


@pytest.fixture
def running(tmp_path):
    """``start()``: a run that goes on until it is killed, and its file."""
    begun = []

    def start():
        (tmp_path / "long.yaml").write_text(json.dumps(RAW))
        command = [sys.executable, "-m", "pmom_mpi", "run", str(tmp_path / "long.yaml"), "-q"]
        begun.append(subprocess.Popen([*command, "-o", str(tmp_path / "long.h5")]))
        return begun[-1]

    yield start, tmp_path / "long.h5"
    for process in begun:
        process.kill()
        process.wait()


def test_it_waits_watches_and_says_that_a_run_was_killed(terminals, running):
    start, file = running
    terminal = terminals("watch", file)
    terminal.until("waiting for")
    run = start()
    shown = terminal.until(r"it/s")
    assert "watched" in shown and "train loss" in shown and re.search("[\u2801-\u28ff]", shown)
    fcntl.ioctl(terminal.side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    terminal.until(r"\S*━{60,}")  # the bar is as wide as the terminal allows
    run.send_signal(signal.SIGKILL)
    run.wait()
    terminal.until(r"killed after \d+ of 10000000 iterations")
    assert terminal.process.wait(20) == 0


def test_q_ends_it_and_the_run_goes_on(terminals, running):
    start, file = running
    run = start()
    terminal = terminals("watch", file.parent)
    terminal.until("it/s")
    os.write(terminal.side, b"q")
    assert terminal.process.wait(20) == 0 and run.poll() is None


def test_a_screen_keeps_to_its_columns(tmp_path):
    raw = RAW | {"iterations": 30, "evaluate": {"every": 3}, "name": "n" * 100}
    run = read.load(experiment.run(raw, output=tmp_path / "a.h5").path)
    for width, height in ((80, 24), (40, 12), (200, 60)):
        console = Console(width=width, height=height, record=True, file=io.StringIO())
        console.print(screen(run, width, height))
        text = console.export_text()
        assert max(map(len, text.splitlines())) <= width
        assert "train loss" in text and "test" in text and "finished" in text and "server:" in text
        assert height < 24 or len(text.splitlines()) <= height


def test_a_chart_shows_peaks_and_leaves_out_what_is_not_finite():
    values = np.zeros(1000)
    values[500] = 1
    top, *_, bottom = chart(values, 20, 4)
    assert sum(sign != "\u2800" for sign in top) == 1 and bottom.count("\u2800") == 0
    assert chart(np.array([np.nan, np.inf]), 3, 2) == ["\u2800" * 3] * 2
    assert chart(np.array([2.0]), 3, 1)[0] != "\u2800" * 3
