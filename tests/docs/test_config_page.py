"""docs/config.md and `pmom explain` say what the classes say: every key of every kind."""

from __future__ import annotations

import dataclasses
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from pmom_mpi.cli import main
from pmom_mpi.config import manual, places, reference
from pmom_mpi.words import registry

PAGE = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")
CHAPTERS = dict(re.findall(r"^(### .*)\n((?:(?!##).*\n)*)", PAGE, re.MULTILINE))
HERE = [key for key in reference.targets() if key[1] != "torch" or find_spec("torch")]
BOTH = {("bias", "top_k"), ("bias", "rand_k"), ("bias", "adaptive_threshold")}
"""Kinds of which one of two keys is given."""


def kinds_of_the_registry():
    tables = (registry.PROBLEMS, registry.BIAS, registry.MOMENTUM, registry.SCHEDULES)
    return {kind for table in tables for kind in table}


def test_every_kind_has_a_chapter():
    assert kinds_of_the_registry() <= {heading.removeprefix("### ") for heading in CHAPTERS}
    assert PAGE.count("\n### ") == len(reference.targets())


@pytest.mark.parametrize("section, name", HERE)
def test_a_chapter_is_what_its_class_says(section, name):
    chapter = manual.chapter(reference.entry(section, name))
    assert chapter in PAGE, "make docs-config"


@pytest.mark.parametrize("section, name", HERE)
def test_every_key_is_there_with_a_type_and_a_description(section, name):
    cls = pkgutil.resolve_name(reference.targets()[section, name])
    entry = reference.entry(section, name)
    assert len(entry.keys) == sum(field.init for field in dataclasses.fields(cls))
    assert entry.summary.endswith((".", ":")) or "=" in entry.summary
    for key in entry.keys:
        assert key.type and key.default, key
        assert key.description.endswith("."), key


@pytest.mark.parametrize("section, name", [key for key in HERE if key[0] not in ("config", *reference.SECTIONS)])
def test_examples_are_valid(section, name):
    """Each with what else is required; modules of examples lie beside their configs."""
    entry = reference.entry(section, name)
    required = {key.name: key.example for key in entry.keys if key.default == "required"}
    for key in entry.keys:
        keys = required | {key.name: key.example}
        if (section, name) in BOTH and not {"k", "fraction"} & set(keys):
            keys["k"] = 1
        if key.name == "inner_batch":
            keys["estimate"] = "minibatch"
        registry.build(reference.KINDS[section], section, {"kind": name, **keys})


def test_explain_prints_the_same():
    said = CliRunner().invoke(main, ["explain", "top_k"])
    assert said.exit_code == 0
    words = " ".join(said.output.split())
    assert "K-th largest" in words and "Alistarh" in words
    assert all(key.name in words for key in reference.entry("bias", "top_k").keys)
    listed = CliRunner().invoke(main, ["explain"]).output
    assert all(kind in listed for kind in kinds_of_the_registry())


def test_a_kind_of_ones_own_is_explained(monkeypatch):
    monkeypatch.chdir(places.folder("examples"))
    said = CliRunner().invoke(main, ["explain", "my_operators:BlockTop"])
    assert said.exit_code == 0 and "size" in said.output and "largest norm" in said.output


@pytest.mark.parametrize("name, hint", [("topk", "did you mean 'top_k'?"), ("no_module:Class", "No module named")])
def test_an_unknown_kind_is_one_line(name, hint):
    said = CliRunner().invoke(main, ["explain", name])
    assert said.exit_code == 2
    assert said.stderr.startswith(f"pmom: error: {name}: ") and said.stderr.count("\n") == 1 and hint in said.stderr
