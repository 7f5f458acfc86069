"""Every command that the README and the manual show works as written, in order, in a fresh shell; long ones shortened.

On the pages of measurements, whose commands take hours, every line of pmom is held against the command line's own
parser and every config against the classes.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from pmom_mpi import config as configs
from pmom_mpi.cli import main
from pmom_mpi.runtime.setting import Source

from .conftest import ROOT, commands

SHORT = "-s iterations=4 -s evaluate.every=2"
DIGITS = "-s data.name=digits -s data.nodes=4"
SHORTER = [
    (r"^make test$", "make -n test"),
    (r"^(pmom (run|launch) .*mnist.*)$", rf"\1 {SHORT} {DIGITS}"),
    (r"^(pmom (run|launch) |mpirun .* pmom run )(.*)$", rf"\1\3 {SHORT}"),
    (r"^(pmom bias .*)$", r"\1 --nodes 1 --repeats 3"),
    (r"^pmom data (get|import) .*$", "pmom data list"),
    (r"^pmom reproduce (.*)$", r"pmom reproduce --help"),
]
"""How a line is shortened: the first pattern that fits. What is downloaded, or needs what is, is tested elsewhere."""
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PLACEHOLDERS = {"CONFIG": "quickstart", "config.yaml": "quickstart"}


def shortened(line: str) -> str:
    for pattern, replacement in SHORTER:
        if re.match(pattern, line):
            return re.sub(pattern, replacement, line)
    return line


def test_the_readme_in_a_fresh_shell(shell):
    lines = commands(ROOT / "README.md")
    assert lines[:3] == ["make run", "make test", "source .venv/bin/activate"] and len(lines) > 12
    done = shell([shortened(line) for line in lines])
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_program_of_the_readme_but_make_comes_after_the_environment_is_activated():
    lines = commands(ROOT / "README.md")
    assert [line for line in lines[: lines.index("source .venv/bin/activate")] if not line.startswith("make")] == []


@pytest.mark.parametrize("name", ["extend.md", "bias.md"])
def test_a_page_of_the_manual_in_a_fresh_shell(name, shell):
    done = shell(["source .venv/bin/activate", *map(shortened, commands(ROOT / "docs" / name))])
    assert done.returncode == 0, done.stderr[-3000:]


def lines_of_pmom():
    for page in [ROOT / "README.md", *PAGES]:
        for line in commands(page):
            found = re.search(r"\bpmom (.*)$", line)
            if found and line.split()[0] in ("pmom", "mpirun"):
                yield pytest.param(found[1], id=f"{page.name}: {line}")


@pytest.mark.parametrize("line", list(lines_of_pmom()))
def test_a_line_of_pmom_is_one_that_it_takes(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    command, words = main, [PLACEHOLDERS.get(word, word) for word in shlex.split(re.sub(r"\$\w+", "4", line))]
    while isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    given = command.make_context(command.name, words).params
    if "config" in given and given["config"] not in ("quickstart.yaml",):  # which pmom init writes
        source = Source.read(given["config"], given.get("overrides", ()))
        configs.allow_modules(source.folders)
        configs.from_raw(source.raw, source.name)


def examples_of_help(group: click.Group, name: str = "pmom"):
    """Every line of every command's help that begins with pmom."""
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from examples_of_help(command, f"{name} {word}")
        else:
            for line in (command.help or "").splitlines():
                if re.match(rf"pmom ({'|'.join(main.commands)})\b", line.strip()):
                    yield line.strip()


@pytest.mark.parametrize("line", list(examples_of_help(main)))
def test_an_example_of_the_help_is_a_line_that_it_takes(line, monkeypatch):
    first = re.split(r" && | \| ", line)[0]
    test_a_line_of_pmom_is_one_that_it_takes(first.removeprefix("pmom "), monkeypatch)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not Path(page.parent, link).exists()] == []
