"""`pmom watch` on a real terminal of 80 columns, beside a run that goes on."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import shutil
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
from pmom_mpi.record import pack
from pmom_mpi.runtime import experiment

RAW = {
    "name": "watched", "iterations": 10_000_000, "step_size": 0.5, "problem": "softmax_regression",
    "data": {"name": "digits", "nodes": 4}, "evaluate": {"every": 0}, "record": {"flush_seconds": 0},
}  # fmt: skip


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, *words, columns=80, lines=24, **environment):
        self.side, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color"} | environment
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
    for part in ("watched", "it/s", "train loss", "[\u2801-\u28ff]"):  # a picture may come in pieces
        terminal.until(part)
    fcntl.ioctl(terminal.side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    terminal.until("[━─]{60,}")  # the bar is as wide as the terminal allows
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


class Tmux:
    """A shell in a real tmux of 80 x 24, with a server of its own."""

    def __init__(self, folder):
        self.socket = str(folder / "tmux")
        self.say("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "env -u COLUMNS PS1='$ ' sh")

    def say(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], check=True, capture_output=True, text=True).stdout

    def type(self, *keys):
        self.say("send-keys", *keys)

    def until(self, pattern, seconds=60):
        deadline = time.monotonic() + seconds
        while not re.search(pattern, shown := self.say("capture-pane", "-p")):
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        return shown

    def terminal(self):
        """What a program may leave changed: the modes, the second screen, the cursor."""
        self.type("clear; stty -g", "Enter")
        modes = re.search(r"(?:[0-9a-f]+:)+[0-9a-f:\n]+", self.until(r"[0-9a-f]:\S+\s+\$\s*$")).group()
        return modes.replace("\n", ""), self.say("display-message", "-p", "#{alternate_on} #{cursor_flag}")


@pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")
def test_under_tmux_it_follows_is_resized_and_leaves_the_terminal_as_it_was(running, tmp_path):
    start, file = running
    start()
    tmux = Tmux(tmp_path)
    try:
        before = tmux.terminal()
        watch = f"clear; {sys.executable} -m pmom_mpi watch {file}"
        tmux.type(watch, "Enter")
        shown = tmux.until("it/s.*(?s:.*)slowest worker: ")
        assert "running  watched" in shown.splitlines()[0] and "server: " in shown and "train loss" in shown
        tmux.say("resize-window", "-x", "120", "-y", "30")
        tmux.until(r"(?m)^[━─]{70}")
        tmux.type("C-z")  # would leave the shell on our screen
        tmux.type("C-c")
        tmux.until(r"slowest worker: .*\s+\$\s*$")
        assert tmux.terminal() == before
        tmux.type(watch, "Enter")
        tmux.until("it/s")
        tmux.say("run-shell", "kill $(pgrep -P #{pane_pid})")
        tmux.until(r"\$\s*$")
        assert tmux.terminal() == before
    finally:
        tmux.say("kill-server")


def test_where_nothing_can_be_drawn_over_and_where_there_is_ascii_only(terminals, tmp_path):
    file = experiment.run(RAW | {"iterations": 3, "evaluate": {"every": 1}}, output=tmp_path / "a.h5").path
    dumb = terminals("watch", file, TERM="dumb")
    dumb.until(r"finished  3/3  train loss \S+  test accuracy [\d.]+\s+finished  watched")
    ascii_only = terminals("watch", file, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    shown = ascii_only.until("slowest worker: .*")
    assert shown.isascii() and "=====" in shown and re.search(r" \S*[:.']{3}", shown)
    assert (dumb.process.wait(20), ascii_only.process.wait(20)) == (0, 0)


def test_a_packed_run_and_a_folder_with_packed_runs(terminals, tmp_path):
    file = experiment.run(RAW | {"iterations": 3}, output=tmp_path / "a.h5").path
    pack.pack({"a": file}, tmp_path / "all.h5")
    for place in (f"{tmp_path}/all.h5::a", tmp_path):
        terminal = terminals("watch", place)
        terminal.until("finished  watched")
        assert terminal.process.wait(20) == 0


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
