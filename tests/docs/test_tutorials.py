"""The tutorials, done as written in an empty folder: every figure they promise, in few commands and few own lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

COMMANDS, OWN_LINES = 10, 30
"""What a tutorial may take, at most."""
SHORTER = {
    "student": [("seeds: 3", "seeds: 1"), ("[0.1, 0.5]", "[0.5]"), ("base: quickstart", "base: short.yaml")],
    "engineer": [("seeds: 2", "seeds: 1"), ("[1, 0.1]", "[0.1]"), ("base: quickstart", "base: short.yaml")],
    "teacher": [("iterations=3000", "iterations=60")],
}
"""What is made smaller for the test."""


def script(name: str) -> str:
    text = (ROOT / "docs" / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("name", SHORTER)
def test_a_tutorial_is_short(name):
    own = [line for block in re.findall(r"<<'EOF'\n(.*?)\nEOF", script(name), re.DOTALL) for line in block.splitlines()]
    commands = re.findall(r"^pmom ", script(name), re.MULTILINE)
    assert 3 < len(commands) <= COMMANDS and len([line for line in own if line]) <= OWN_LINES


@pytest.mark.parametrize(
    "name", ["student", *(pytest.param(name, marks=pytest.mark.slow) for name in SHORTER if name != "student")]
)
def test_a_tutorial_leads_to_its_figure(name, tmp_path):
    text = script(name)
    for long, short in SHORTER[name]:
        assert long in text
        text = text.replace(long, short)
    quickstart = (ROOT / "configs" / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "short.yaml").write_text(quickstart.replace("iterations: 500", "iterations: 20"))
    place = tmp_path / "bin"
    place.mkdir()
    (place / "pmom").write_text(f'#!/bin/sh\nexec {sys.executable} -m pmom_mpi "$@"\n')
    (place / "pmom").chmod(0o755)
    environment = os.environ | {"PATH": f"{place}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    figures = [Path(word) for word in re.findall(r"-o (\S+\.png)", text)]
    assert figures and all((tmp_path / figure).stat().st_size > 10_000 for figure in figures)


def test_the_gallery_has_every_picture_and_a_command_for_each():
    gallery = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    pictures = {path.name for path in (ROOT / "docs" / "images").glob("*.png")}
    sections = re.split(r"(?m)^## ", gallery)[1:]
    shown = {name: section for section in sections for name in re.findall(r"\]\(images/([\w-]+\.png)\)", section)}
    assert set(shown) == pictures
    assert [name for name, text in shown.items() if not re.search(r"(?m)^    (pmom|python|make) ", text)] == []
