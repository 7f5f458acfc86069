"""What commands share: arguments, options, tables."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem as Item

from pmom_mpi.commands import completion
from pmom_mpi.words.errors import UserError


class ConfigName(click.Path):
    """A file, or the name of a ready config; both are completed in the shell."""

    name = "config"

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
        from pmom_mpi.config import places

        ready = [Item(name, help=places.headline(path)) for name, path in places.ready().items()]
        files = super().shell_complete(context, parameter, incomplete)
        return [item for item in ready if item.value.startswith(incomplete)] + files


config_argument = click.argument("config", type=ConfigName())
set_option = click.option(
    "-s", "--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=completion.overrides,
    help="Change a key of the config: -s seed=3 -s momentum.beta=1 -s bias.0.k=100. Repeatable.",
)  # fmt: skip


def _run_file(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A name without ending is hardly meant: nothing that looks for run files would find it."""
    if value is not None and not Path(value).suffix and not Path(value).exists():
        raise UserError(f"-o {value}: has no ending; the name of a run file ends with .h5, as {Path(value).name}.h5")
    return value


output_option = click.option(
    "-o", "--output", type=click.Path(), callback=_run_file, help="The run file (.h5), instead of the config's output."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an existing file.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
WIDTH = 140
"""Of tables where there is no terminal."""

quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress.")


def print_json(found: Any) -> None:
    """Dataclasses, lists and numbers as JSON, which knows no NaN and no infinity: they become null."""
    click.echo(json.dumps(_plain(found), indent=2))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(table: Any) -> None:
    """A table on the terminal, or at a width that cuts nothing where there is none and COLUMNS says none.

    Ranks of an MPI job are not on a terminal, although Open MPI hands them one of its own making.
    """
    from rich.console import Console

    from pmom_mpi.commands.tables import fitted

    console = Console() if _on_terminal() else Console(width=_columns() or WIDTH, force_terminal=False)
    console.print(fitted(table), soft_wrap=False)


def folder_for(output: str) -> Path:
    """Where a file is to be written, its folder made: asked for before anything takes time. Raises `UserError`."""
    path = Path(output)
    new = not path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
        if new:
            path.unlink()
    except OSError as error:
        raise UserError(f"-o {output}: cannot write there: {error.strerror}") from None
    return path


def write_text(output: str, text: str) -> None:
    """Write what -o asks for; raises `UserError`."""
    try:
        folder_for(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"-o {output}: cannot write there: {error.strerror}") from None


def print_lines(lines: Iterable[str], err: bool = False) -> None:
    """Sentences, on a terminal folded between words, elsewhere as they are: what reads them counts lines."""
    width = shutil.get_terminal_size().columns if _on_terminal() else _columns()
    for line in lines:
        folded = textwrap.wrap(line, width, subsequent_indent="    ", break_on_hyphens=False) if width else [line]
        click.echo("\n".join(folded), err=err)


def _on_terminal() -> bool:
    from pmom_mpi.cluster.environment import launcher

    return sys.stdout.isatty() and launcher() is None


def _columns() -> int:
    """The width that the user asks for; 0 where they do not."""
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() else 0
