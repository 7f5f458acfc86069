"""What tests of real jobs share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

SCRIPT = Path(__file__).with_name("several_script.py")


@pytest.fixture(scope="session")
def several(mpirun) -> Callable[[int, Iterable[tuple[Any, list[str], Path]]], None]:
    """``several(ranks, runs)``: one job that runs all of them; a run is a config, overrides, and its run file."""

    def start(ranks: int, runs: Iterable[tuple[Any, list[str], Path]]) -> None:
        words = []
        for config, overrides, output in runs:
            if isinstance(config, dict):
                output.with_suffix(".yaml").write_text(yaml.safe_dump(config))
                config = output.with_suffix(".yaml")
            words.append((str(config), overrides, str(output)))
        done = mpirun(ranks, [sys.executable, str(SCRIPT), json.dumps(words)], module=False, timeout=300)
        assert done.returncode == 0, done.stderr

    return start
