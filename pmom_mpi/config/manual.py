"""The reference of `pmom_mpi.config.reference` as tables for a terminal, and as docs/config.md.

``python -m pmom_mpi.config.manual`` writes docs/config.md anew; it needs every kind, so PyTorch too.
"""

from __future__ import annotations

import difflib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pmom_mpi.config import reference
from pmom_mpi.config.reference import Entry, Key
from pmom_mpi.words.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "config.md"
HEAD = """# Every key

What a config may say; written by `make docs-config` from the classes themselves, and held true by a test. `pmom
explain` lists the kinds, `pmom explain KIND` prints one of the tables below. A config is YAML; `pmom init` writes a
commented one.

A `kind` is a name of this page or a class of your own, `my_module:MyClass`, whose module lies beside the config or in
the working directory ([extend.md](extend.md), [problems-own.md](problems-own.md)). A kind without keys may be written
as a bare name: `momentum: sgd`. A path of data is looked up from the working directory, then beside the config.

`-s KEY=VALUE` changes a key from the command line, positions in lists begin at 0: `-s bias.0.k=100`. Setting `k`
takes the place of `fraction`, and the other way round. Examples are those of the ready configs where one uses the
key.
"""


def named(kind: str) -> Iterator[Entry]:
    """The entries of this name, or of one's own ``module:Class``; raises `UserError` where there is none."""
    if ":" in kind:
        try:
            yield reference.describe("own", kind, pkgutil.resolve_name(kind))
        except (ImportError, AttributeError, TypeError) as error:
            raise UserError(f"{kind}: not a dataclass that can be imported: {error}") from None
        return
    found = [key for key in reference.targets() if key[1] == kind]
    if not found:
        names = [name for _, name in reference.targets()]
        near = difflib.get_close_matches(kind, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"{kind}: no kind and no section of a config; {hint}pmom explain lists them")
    yield from (reference.entry(*key) for key in found)


def everything() -> Table:
    """Every kind in a line."""
    table = Table("section", "kind", "what it does", title="pmom explain KIND says more", title_justify="left")
    for section, name in reference.targets():
        try:
            summary = reference.entry(section, name).summary
        except UserError as error:
            summary = str(error)
        table.add_row(section, "" if name == section else name, Text(summary))
    return table


def render(entry: Entry) -> RenderableType:
    """An entry on the terminal."""
    head = Text(f"{entry.name}  ({entry.section})", "bold") if entry.name != entry.section else Text(entry.name, "bold")
    parts: list[RenderableType] = [head, Text(_plain(entry.summary))]
    for paragraph in entry.text.split("\n\n") if entry.text else ():
        flows = not any(line.startswith((" ", ">>>")) for line in paragraph.splitlines())
        parts += [Text(""), Text(_plain(" ".join(paragraph.split()) if flows else paragraph))]
    if entry.keys:
        table = Table("key", "what it is", show_lines=True)
        for key in entry.keys:
            table.add_row(Text(key.name), _told(key))
        parts += [Text(""), table]
    return Group(*parts, Text(""))


def _told(key: Key) -> Text:
    """What a terminal, which is narrow, shows of a key below each other."""
    default = "required" if key.default == "required" else f"default {key.default}"
    facts = ", ".join(filter(None, (key.type, default, key.range, key.unit)))
    return Text("\n".join((facts, _plain(key.description), f"e.g. {reference.line(key)}")))


def _plain(text: str) -> str:
    """Without the marks of a docstring, which a terminal does not make anything of."""
    return text.replace("``", "")


def cells(key: Key) -> tuple[str, ...]:
    """A key's row."""
    return key.name, key.type, key.default, key.range, key.unit, key.description, reference.line(key)


def chapter(entry: Entry) -> str:
    """An entry of docs/config.md."""
    lines = [f"### {entry.name}", "", _escaped(entry.summary)]
    if entry.text:
        lines += ["", *map(_escaped, entry.text.splitlines())]
    if entry.keys:
        lines += ["", "| key | type | default | range | unit | what it is | example |", "|---|---|---|---|---|---|---|"]
        lines += [_row(key) for key in entry.keys]
    return "\n".join(lines) + "\n"


def _row(key: Key) -> str:
    name, kind, default, bounds, unit, description, example = (cell.replace("|", "\\|") for cell in cells(key))
    return f"| `{name}` | {kind} | `{default}` | {bounds} | {unit} | {_escaped(description)} | `{example}` |"


def _escaped(text: str) -> str:
    """Prose in which Markdown finds nothing to do: double backquotes become single ones, * stays what it is."""
    return text.replace("``", "`").replace("*", "\\*").replace("_", "\\_") if "`" not in text else _outside(text)


def _outside(text: str) -> str:
    """The same where some of it is code."""
    pieces = text.replace("``", "`").split("`")
    return "`".join(piece if place % 2 else _escaped(piece) for place, piece in enumerate(pieces))


def page(entries: Iterable[Entry]) -> str:
    """docs/config.md."""
    parts, section = [HEAD], ""
    for entry in entries:
        heading = "sections" if entry.section == entry.name else entry.section
        if heading != section:
            parts.append(f"## {heading}\n" if heading == "sections" else f"## Kinds of {heading}\n")
            section = heading
        parts.append(chapter(entry))
    return "\n".join(parts)


if __name__ == "__main__":
    try:
        PAGE.write_text(page(reference.entry(*key) for key in reference.targets()), encoding="utf-8")
    except UserError as error:
        sys.exit(f"docs/config.md needs every kind: {error}")
