"""Every command that the README and the pages of docs/ show works as written, in order, in a fresh shell.

Long ones are shortened (`SHORTER`), what a page takes for granted is made before (`GIVEN`), and the few lines that
cannot be run have a reason (`NOT_RUN`). Every line of pmom is held against the command line's own parser as it stands,
and every config against the classes.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from pmom_mpi.cli import main
from pmom_mpi.runtime.source import Source

from .conftest import ROOT, commands

SHORT = "-s iterations=4 -s evaluate.every=2"
DIGITS = "-s data.name=digits -s data.nodes=4"
SHORTER = [
    (r"^make (?!run)(\S+)$", r"make -n \1"),
    (r"^make run$", r"make run RANKS=2"),
    (r"^(?:mpirun .*)?(python benchmarks/\S+).*$", r"\1 --help"),
    (r"^(.*pmom (?:run|launch) .*(?:mnist|compare/).*)$", rf"\1 {DIGITS}"),
    (r"^(pmom launch.*) -n [35]", r"\1 -n 2"),
    (r"^mpirun .*(pmom run .*)$", r"mpirun --oversubscribe --bind-to none -n 2 \1"),
    (r"^(.*)\bpmom (run|launch) (.*)$", rf"\1pmom \2 \3 {SHORT}"),
    (r"^(mpirun .* \$CONFIG .*)$", r"\1 --overwrite"),
    (r"^(pmom run --resume .*)iterations=4", r"\1iterations=6"),  # that it was extended to
    (r"--extend 2000", "--extend 6"),
    (
        r"^(pmom init --template sweep)$",
        r"\1; sed -i 's/ns: 200/ns: 4/; s/every: 10/every: 2/; s/^seeds: 5/seeds: 1/; /^    .*top1:/d' sweep.yaml",
    ),
    (r"^(pmom bias .*?)(?: --nodes 3)?$", r"\1 --nodes 1 --repeats 3"),
    (r"^(pmom bench operators).*$", r"\1 --size 1024 --repeats 1"),
    (r"^(pmom submit) tune.yaml (.*)$", r"\1 other.yaml \2"),  # the runs of the other are complete
    (r"^(pmom submit .*)$", r"\1 --dry-run"),
    (r"tune\.h5::top10-\S+", r"tune.h5::$(cd results/tune && basename top10*.h5 .h5)"),
    (r"~/mnist", "$HOME/mnist"),
]
"""How a line is shortened, one substitution after the other."""
NOT_RUN = {
    r"pmom data get": "downloads; tests/data",
    r"pmom data import mnist": "needs the files that were downloaded; tests/data",
    r"pmom reproduce": "needs them too; tests/analysis",
    r"pmom run configs/problems/maml-classes": "needs images that were downloaded; tests/problems",
    r"mpirun --host": "needs two hosts",
    r"python benchmarks/(selection|special_cases)\.py": "has no options, and takes minutes",
}
TUNE = """cat > tune.yaml <<'EOF'
base:
  name: tune
  iterations: 4
  step_size: 0.5
  problem: {kind: mlp, hidden: [4]}
  data: {name: digits, nodes: 2}
  diagnostics: {every: 1}
  evaluate: {every: 2}
variants: {method: {dense: {bias: []}, top10: {bias: [{kind: top_k, fraction: 0.1}]}}}
EOF"""
RUN = f"pmom run quickstart {SHORT}"
GIVEN = {
    "campaigns.md": [TUNE, "cp tune.yaml other.yaml"],
    "data.md": ["""python -c 'import numpy as np; np.savez("mine.npz", x_train=np.eye(3), y_train=np.arange(3))'"""],
    "file-format.md": [f"{RUN} -s checkpoint.every=2"],
    "problems-own.md": ["cp examples/localization.yaml config.yaml; cp examples/localization.py ."],
    "gallery.md": [TUNE, "pmom sweep tune.yaml"],
    "report.md": [RUN, TUNE, "pmom sweep tune.yaml"],
    "tight.md": ["pmom run ridge -s diagnostics.every=1 -s iterations=4"],
}
"""What a page takes for granted."""
LONG = (
    "bias.md", "campaigns.md", "cluster.md", "extend.md", "gallery.md", "problems.md", "report.md", "tight.md",
)  # fmt: skip
"""Pages whose commands take more than ten seconds though shortened."""
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PLACEHOLDERS = {"CONFIG": "quickstart", "config.yaml": "quickstart"}
SHOWING = [page for page in PAGES if commands(page)]


def shortened(line: str) -> str:
    for pattern, replacement in SHORTER:
        line = re.sub(pattern, replacement, line)
    return line


def reason(line: str) -> str:
    """Why a line is not run; empty for one that is."""
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, line)), "")


def test_the_readme_in_a_fresh_shell(shell):
    lines = commands(ROOT / "README.md")
    assert lines[:3] == ["make run", "make test", "source .venv/bin/activate"] and len(lines) > 12
    done = shell([shortened(line) for line in lines if not reason(line)])
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_the_readme_s_commands_write_goes_to_results():
    written = [place for line in commands(ROOT / "README.md") for place in re.findall(r" -o (\S+)", line)]
    assert len(written) > 6 and [place for place in written if not place.startswith("results/")] == []


def test_every_program_of_the_readme_but_make_comes_after_the_environment_is_activated():
    lines = commands(ROOT / "README.md")
    assert [line for line in lines[: lines.index("source .venv/bin/activate")] if not line.startswith("make")] == []


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name in LONG)) for page in SHOWING]
)
def test_a_page_in_a_fresh_shell(page, shell):
    given = ["source .venv/bin/activate", "export S=2 H=10 CONFIG=quickstart SWEEP=other.yaml"]
    lines = [re.sub(r"\b(CONFIG|SWEEP)\b", r"$\1", line) for line in commands(page) if not reason(line)]
    if page.name == "tight.md":
        pytest.importorskip("cvxpy", reason="needs cvxpy: pip install 'pmom-mpi[pep]'")
    done = shell([*given, *GIVEN.get(page.name, []), *map(shortened, lines)])
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_is_said_of_lines_is_said_of_lines_that_there_are():
    lines = [line for page in [ROOT / "README.md", *PAGES] for line in commands(page)]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, line) for line in lines)] == []
    assert {*GIVEN, *LONG} <= {page.name for page in SHOWING}


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
        Source.read(given["config"], given.get("overrides", ())).config()


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
