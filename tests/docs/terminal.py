"""A real terminal of a given width, and what programs write to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Sequence
from pathlib import Path

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def written(command: Sequence[str], folder: Path, width: int = 80) -> tuple[int, str]:
    """Exit status of the command on a terminal so wide, and the characters that it wrote there."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        os.execvpe(command[0], command, environment | {"TERM": "xterm"})
    pieces = []
    while True:
        try:
            pieces.append(os.read(terminal, 1 << 16))
        except OSError:  # Linux says so when the other end is closed
            break
        if not pieces[-1]:
            break
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), b"".join(pieces).decode()


def lines(text: str) -> list[list[str]]:
    """Line by line what stood there, one after the other where it was redrawn."""
    return [CONTROL.sub("", line).rstrip().split("\r") for line in text.replace("\r\n", "\n").split("\n")]
