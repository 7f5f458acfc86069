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
COPIED = ("Makefile", "pyproject.toml", "setup.cfg", "benchmarks", "configs", "docs", "examples")
"""What the pages' commands name of a checkout. The package itself is this one, so that kernels are compiled once."""
MADE = shutil.ignore_patterns("__pycache__", "images")


def commands(page: Path) -> list[str]:
    """The lines of indented blocks that begin with one of the `PROGRAMS`, without comments, continued lines in one."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (re.split(r"\s+#\s", line)[0].strip() for line in text.splitlines() if line.startswith("    "))
    return [" ".join(line.split()) for line in lines if line.split(" ")[0] in PROGRAMS]


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> Path:
    """A virtual environment as `make` sets it up: packages are those of the tests' environment, pmom is this one."""
    place = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=60)
    folders = [path for path in sys.path if path.endswith("-packages")]
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    (packages / "found.pth").write_text("\n".join([str(ROOT), *folders]))
    (place / "bin" / "pmom").write_text(f'#!/bin/sh\nexec {place}/bin/python -m pmom_mpi "$@"\n')
    (place / "bin" / "pmom").chmod(0o755)
    for root in dict.fromkeys(Path(folder).parents[2] for folder in folders):
        for program in root.glob("bin/*mpi*"):
            (place / "bin" / program.name).exists() or (place / "bin" / program.name).symlink_to(program)
    for mark in (".run", ".dev"):
        (place / mark).touch()
    return place


@pytest.fixture
def shell(environment, tmp_path) -> Callable[[list[str]], subprocess.CompletedProcess[str]]:
    """A fresh shell in a folder with what the pages name of a checkout; nothing on its PATH leads to pmom."""
    checkout, own = tmp_path / "checkout", Path(sysconfig.get_path("scripts"))
    checkout.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, ignore=MADE)
        else:
            shutil.copy2(ROOT / name, checkout / name)
    (checkout / ".venv").symlink_to(environment)
    libraries = [f"{Path(folder).parents[2]}/lib" for folder in sys.path if folder.endswith("-packages")]
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder and Path(folder) != own]
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables |= {"PATH": os.pathsep.join(path), "LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    variables |= {"PMOM_DATA_DIR": str(tmp_path / "data")}
    if os.geteuid() == 0:  # the page tells root of --allow-run-as-root
        variables |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def run(lines: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", "\n".join(["set -ex", *lines])],
            cwd=checkout, capture_output=True, text=True, timeout=600, env=variables,
        )  # fmt: skip

    return run
