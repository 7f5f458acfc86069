"""The commands that README.md and the pages of docs/ show, as somebody would type them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("pmom", "mpirun", "make", "source", "python")
MADE = shutil.ignore_patterns(".git", ".venv", "build", "dist", "results", "*.egg-info", "__pycache__", ".*_cache")


def commands(page: Path) -> list[str]:
    """The lines of indented blocks that begin with one of the `PROGRAMS`, without comments, continued lines in one."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (re.split(r"\s+#\s", line)[0].strip() for line in text.splitlines() if line.startswith("    "))
    return [" ".join(line.split()) for line in lines if line.split(" ")[0] in PROGRAMS]


@pytest.fixture
def shell(tmp_path) -> Callable[[list[str]], subprocess.CompletedProcess[str]]:
    """A fresh shell in a copy of the checkout, whose virtual environment `make` takes for set up.

    Its packages are those of the tests' environment; pmom is the copy's. Nothing of this process's PATH leads to pmom.
    """
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, ignore=MADE)
    place, own = checkout / ".venv", Path(sysconfig.get_path("scripts"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=60)
    folders = [path for path in sys.path if path.endswith("-packages")]
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    (packages / "found.pth").write_text("\n".join([str(checkout), *folders]))
    (place / "bin" / "pmom").write_text(f'#!/bin/sh\nexec {place}/bin/python -m pmom_mpi "$@"\n')
    (place / "bin" / "pmom").chmod(0o755)
    for root in dict.fromkeys(Path(folder).parents[2] for folder in folders):
        for program in root.glob("bin/*mpi*"):
            (place / "bin" / program.name).exists() or (place / "bin" / program.name).symlink_to(program)
    for mark in (".run", ".dev"):
        (place / mark).touch()
    libraries = [f"{Path(folder).parents[2]}/lib" for folder in folders]
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder and Path(folder) != own]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PATH": os.pathsep.join(path), "LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    if os.geteuid() == 0:  # the page tells root of --allow-run-as-root
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def run(lines: list[str]) -> subprocess.CompletedProcess[str]:
        script = "\n".join(["set -ex", *lines])
        return subprocess.run(
            ["bash", "-c", script], cwd=checkout, capture_output=True, text=True, timeout=600, env=environment
        )

    return run
