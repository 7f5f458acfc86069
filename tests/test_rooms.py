"""The package as docs/design.md draws it: imports point downward only, and no function hides a module."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pmom_mpi

PACKAGE = Path(pmom_mpi.__file__).parent
FLOORS = [
    {"kernels", "words", "__version__"},
    {"cluster", "wire", "theory", "data", "networks", "errors"},
    {"bias", "problems", "record", "transport"},
    {"method"},
    {"config"},
    {"runtime", "analysis"},
    {"check", "measure", "campaign", "doctor"},
    {"report"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
"""From the ground up; a room may import what is on a lower floor."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(tree: ast.AST) -> Iterator[str]:
    """What is imported of this package when the program runs, as full names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "pmom_mpi":
            yield from (f"pmom_mpi.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pmom_mpi."):
            yield str(node.module)
        yield from imports(node)


FILES = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path):
    here = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
        there = name.split(".")[1]
        assert there == here or FLOOR[there] < FLOOR[here], f"{here} must not import {name}"


def test_every_room_has_a_floor():
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in FILES}
    assert rooms <= FLOOR.keys()


@pytest.mark.parametrize("room", [path.parent for path in PACKAGE.glob("*/__init__.py")], ids=lambda path: path.name)
def test_modules_are_modules(room):
    package = importlib.import_module(f"pmom_mpi.{room.name}")
    for found in pkgutil.iter_modules([str(room)]):
        if "torch" not in found.name:
            importlib.import_module(f"{package.__name__}.{found.name}")
            assert isinstance(getattr(package, found.name), ModuleType), f"{package.__name__}.{found.name} is hidden"


SEAMS = ["bias", "method", "transport", "runtime", "wire"]


@pytest.mark.parametrize("room", SEAMS)
def test_nothing_is_asked_by_the_name_of_an_attribute(room):
    for path in (PACKAGE / room).rglob("*.py"):
        called = {
            ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        }
        allowed = {"hasattr"} if path.name == "placement.py" else set()  # of the operating system
        assert not (called & {"hasattr", "getattr"}) - allowed, path
