"""``pmom explain``."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem as Item

from pmom_mpi.commands.options import print_table


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
    from pmom_mpi.config import reference

    return [Item(name, help=section) for section, name in reference.targets() if name.startswith(incomplete)]


@click.command()
@click.argument("kind", required=False, shell_complete=_complete)
def explain(kind: str | None) -> None:
    """Say what KIND does and which keys it has: type, default, range, unit, an example. Without KIND, list all kinds.

    KIND is a name, a section of the config, or a class of your own (my_module:MyClass).

    \b
    pmom explain top_k
    pmom explain config
    pmom explain data
    """
    from pmom_mpi.config import allow_modules, manual

    allow_modules([str(Path.cwd())])
    for table in [manual.everything()] if kind is None else map(manual.render, manual.named(kind)):
        print_table(table)
