"""A dozen random kills, always the same ones; `make torture` makes 200 (`tests/torture.py`)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from torture import torture


def test_killed_runs_go_on_bit_for_bit(tmp_path):
    tally = torture(tmp_path, kills=12, seed=11)
    assert tally.kills == 12
