"""``pmom configs`` and ``init``."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from click.shell_completion import CompletionItem as Item

from pmom_mpi.commands.options import print_lines, print_table
from pmom_mpi.words.errors import UserError

TEMPLATES = {
    "quickstart": (
        "quickstart",
        "every section of a config with its alternatives; data come with the package",
    ),
    "paper": ("mnist-top10", "the paper's experiment: 100 nodes, MNIST, Top-10 %"),
    "own-problem": ("localization", "a problem of your own: a class in a module beside the config"),
    "sweep": ("sweep", "many runs from one file: 4 methods x 5 seeds, for pmom sweep, compare and plot"),
    "own-operators": ("my_operators", "a clip, a compressor and a momentum rule of your own, likewise"),
}
"""What `pmom init` can begin with: the ready config that is copied, and what it is for."""


GROUPS = {
    "configs": "to begin with",
    "paper": "the paper's experiments; pmom data get mnist, or fashion-mnist, first",
    "problems": "other problems",
    "compare": "compressors side by side",
    "examples": "your own problem, model and operators: the code lies beside",
    "sweeps": "many runs from one file: pmom sweep NAME",
}
"""The folders of ready configs in the order in which one may want them, and what they are for."""


@click.command()
def configs() -> None:
    """List the ready configs: names that every command takes instead of a file.

    \b
    pmom run quickstart
    pmom validate mnist-top10 -s seed=1
    """
    from pmom_mpi.analysis.tables import Table
    from pmom_mpi.commands.tables import on_terminal
    from pmom_mpi.config import places

    known = places.ready() | places.sweeps()
    wide = max(map(len, known))
    found: dict[str, list[tuple[str, str]]] = {}
    for name, path in sorted(known.items(), key=lambda entry: (entry[0] != "quickstart", entry[0])):
        found.setdefault(path.parent.name, []).append((f"{name:{wide}}", places.headline(path)))
    order = sorted(found, key=lambda folder: [*GROUPS, folder].index(folder))
    print_table(on_terminal(Table(GROUPS.get(folder, folder), (), tuple(found[folder])) for folder in order))
    print_lines(["", "run one: pmom run quickstart; copy one here, to change it: pmom init quickstart"])


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
    return [Item(name, help=purpose) for name, (_, purpose) in TEMPLATES.items() if name.startswith(incomplete)]


@click.command()
@click.argument("name", default="quickstart", shell_complete=_complete)
@click.option("--template", metavar="NAME", help="The same as NAME.")
@click.option("--list", "listed", is_flag=True, help="Say what there is to begin with.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def init(name: str, template: str | None, listed: bool, overwrite: bool) -> None:
    """Write a commented config, and the modules and data it needs, into this folder to begin with.

    NAME is quickstart (the default), paper, sweep, own-problem, own-operators, or any name that `pmom configs` lists.

    \b
    pmom init
    pmom init own-problem && pmom check-problem localization.yaml
    """
    from pmom_mpi.analysis.tables import Table
    from pmom_mpi.commands.tables import on_terminal
    from pmom_mpi.config import places

    if listed:
        print_table(on_terminal([Table("", (), tuple((name, purpose) for name, (_, purpose) in TEMPLATES.items()))]))
        return
    name = template or name
    chosen = TEMPLATES[name][0] if name in TEMPLATES else name
    known = places.ready() | places.sweeps()
    if chosen not in known:
        raise UserError(f"{name}: nothing to begin with has this name; see pmom init --list and pmom configs")
    config = known[chosen]
    files = [config] if chosen in places.sweeps() else [config, *places.companions(config)]
    there = [file.name for file in files if Path(file.name).exists()]
    if there and not overwrite:
        raise UserError(f"{', '.join(there)}: here already; pmom init --overwrite replaces what is here")
    for file in files:
        shutil.copyfile(file, file.name)
        click.echo(f"wrote {file.name}")
    verbs = ("sweep --dry-run", "sweep") if chosen in places.sweeps() else ("validate", "run")
    click.echo("next: " + ", ".join(f"pmom {verb} {config.name}" for verb in verbs))
