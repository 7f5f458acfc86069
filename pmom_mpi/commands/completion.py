"""What the shell offers when Tab is pressed: keys behind -s with their values, data sets, metrics of run files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem as Item

from pmom_mpi.words.errors import UserError

PLAIN = ("data", "gradient", "evaluate", "wire", "record")
"""Sections with keys but no kind."""


def overrides(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
    """Keys of the config that stands before -s, ``bias.0.k=``, and behind the = the words that are valid."""
    from pmom_mpi import config as configs
    from pmom_mpi.config import places

    try:
        raw = configs.load(places.find(_words(context, "config")[0]))
    except (UserError, IndexError):
        raw = {}
    known = dict(_keys(raw))
    key, equals, _ = incomplete.partition("=")
    if equals:
        offered = [Item(f"{key}={value}") for value in known.get(key, ("", []))[1]]
    else:
        offered = [Item(f"{name}=", help=said) for name, (said, _) in known.items()]
    return [item for item in offered if item.value.startswith(incomplete)]


def datasets(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
    """Names of data sets."""
    return [Item(name) for name in _datasets() if name.startswith(incomplete)]


def metrics(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
    """Metrics of the run files that stand on the line already."""
    from pmom_mpi.analysis import read

    found: dict[str, str] = {}
    for file in _words(context, "files"):
        try:
            run = read.load(read.run_files([file])[0])
            found |= {name: metric.description for name, metric in run.described.items()}
        except UserError:
            continue
    return [Item(name, help=said) for name, said in found.items() if name.startswith(incomplete)]


def _words(context: click.Context, name: str) -> list[str]:
    """The arguments on the line so far; click leaves them unsorted where an option still waits for its value."""
    sorted_out = context.params.get(name) or ()
    return [*([sorted_out] if isinstance(sorted_out, str) else sorted_out), *context.args]


def _keys(raw: dict[str, Any]) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Every key that can be set in a config: what it is, and the words that it takes."""
    yield from _of("config", "config", "")
    for section in PLAIN:
        yield from _of(section, section, f"{section}.")
    for section in ("problem", "momentum", "step_size", "bias", "downlink"):
        yield from _chosen(section, raw.get(section), section)
    data = raw.get("data")
    yield from _chosen("data.partition", data.get("partition") if isinstance(data, dict) else None, "data.partition")


def _chosen(section: str, value: Any, place: str) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """The keys of what stands at a place that chooses a kind; of a list, of each of its items."""
    from pmom_mpi.config import reference

    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _chosen(section, item, f"{place}.{position}")
        return
    table = "bias" if section == "downlink" else section
    yield f"{place}.kind", ("what it is", list(reference.KINDS[table]))
    kind = value.get("kind") if isinstance(value, dict) else value
    if isinstance(kind, str) and kind in reference.KINDS[table]:
        yield from _of(table, kind, f"{place}.")


def _of(section: str, name: str, prefix: str) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    from pmom_mpi.config import reference

    try:
        keys = reference.entry(section, name).keys
    except UserError:  # the kind needs a package that is not installed
        return
    for key in keys:
        words = _datasets() if (section, key.name) == ("data", "name") else []
        words = key.range.split(", ") if key.type == "str" and key.range else words
        yield prefix + key.name, (key.description, ["true", "false"] if key.type == "bool" else words)


def _datasets() -> list[str]:
    from pmom_mpi.data import list_datasets

    return [entry.name for entry in list_datasets()]
