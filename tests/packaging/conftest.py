"""What is shipped: a source distribution, the wheel made of it, and the wheel installed with no checkout in sight."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "results", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", ".fuzz"
)
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"


@pytest.fixture(scope="session")
def sdist(tmp_path_factory) -> Path:
    """The source distribution, unpacked."""
    pytest.importorskip("setuptools", minversion="70.1", reason="needs setuptools >= 70.1: make setup-dev")
    source, made = tmp_path_factory.mktemp("source") / "checkout", tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, source, ignore=MADE)
    build("sdist", source, made)
    (archive,) = made.glob("*.tar.gz")
    shutil.unpack_archive(archive, made)
    (folder,) = (path for path in made.iterdir() if path.is_dir())
    return folder


@pytest.fixture(scope="session")
def wheel(sdist, tmp_path_factory) -> Path:
    """The wheel, made of nothing but the source distribution."""
    made = tmp_path_factory.mktemp("wheel")
    build("wheel", sdist, made)
    (path,) = made.glob("*.whl")
    return path


def build(what: str, source: Path, target: Path) -> None:
    command = [sys.executable, "-c", BUILD.format(what), str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120, env=bare())


def bare() -> dict[str, str]:
    """The environment without what would lead to this checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def dependencies() -> list[str]:
    """Where this Python finds its packages."""
    return [path for path in sys.path if path.endswith("-packages")]


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel in it, and an empty folder to work in."""

    python: Path
    work: Path
    cache: Path
    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str, status: int = 0) -> str:
        """Run a shell line in the folder as somebody who has activated the environment; what it prints."""
        self.lines.append(line)
        roots = [Path(folder).parents[2] for folder in dependencies()]  # an MPI from PyPI lies there
        path = os.pathsep.join([str(self.python.parent), *(f"{root}/bin" for root in roots), os.environ["PATH"]])
        libraries = os.pathsep.join([*(f"{root}/lib" for root in roots), os.environ.get("LD_LIBRARY_PATH", "")])
        found = {"PATH": path, "LD_LIBRARY_PATH": libraries}
        done = subprocess.run(
            line, shell=True, cwd=self.work, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
            env=bare() | found | {"XDG_CACHE_HOME": str(self.cache), "COLUMNS": "140"},
        )  # fmt: skip
        assert done.returncode == status, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory) -> Path:
    """The Python of a new environment that holds the wheel; other packages are those of the tests' environment.

    Their folder is only a place to import from: its .pth files, which would lead to this checkout, are not read.
    """
    place = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=120)
    python = place / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    (packages / "dependencies.pth").write_text("\n".join(dependencies()))
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    subprocess.run([*install, str(wheel)], check=True, timeout=120, env=bare(), cwd=place)
    return python


@pytest.fixture(scope="session")
def kernels(environment, tmp_path_factory) -> Path:
    """A folder for caches that the tests share, so that kernels are compiled once, and by one process."""
    folder, cache = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("cache")
    Installed(environment, folder, cache)("pmom run quickstart -s iterations=2 -o first.h5")
    return cache


@pytest.fixture
def installed(environment, kernels, tmp_path) -> Iterator[Installed]:
    """Every user's way takes fewer than ten commands."""
    user = Installed(environment, tmp_path, kernels)
    yield user
    assert len(user.lines) < 10
