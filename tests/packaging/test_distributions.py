"""What the source distribution and the wheel hold."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


MADE = {"__pycache__", "reference"}
"""Folders of what Python, and `make docs`, have made."""


def files(folder: str, pattern: str = "*") -> set[str]:
    """A checkout's files, relative to its root."""
    found = (path for path in (ROOT / folder).rglob(pattern) if path.is_file() and not MADE & set(path.parts))
    return {str(path.relative_to(ROOT)) for path in found}


@pytest.mark.parametrize("folder", ["docs", "configs", "examples", "tests", "jobs", "benchmarks", "pmom_mpi"])
def test_the_source_distribution_holds_every_file_of(folder, sdist):
    assert {name for name in files(folder) if not (sdist / name).is_file()} == set()


def test_the_source_distribution_can_be_set_up_and_cited(sdist):
    for name in ("Makefile", "README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "conftest.py", ".ci/run"):
        assert (sdist / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_wheel_holds_the_package_with_its_data_ready_configs_and_examples(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    inside = {f"pmom_mpi/{name}" for name in files("configs") | files("examples")}
    assert names == files("pmom_mpi") | inside
