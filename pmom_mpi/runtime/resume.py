"""Where a run begins: at x^0, or at the newest whole checkpoint of a run that has ended too early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pmom_mpi import config as configs
from pmom_mpi.record import checkpoint
from pmom_mpi.record.head import Head
from pmom_mpi.record.repair import is_being_written
from pmom_mpi.runtime.source import Source
from pmom_mpi.words.errors import UserError

MAY_CHANGE = (
    "name", "output", "evaluate", "checkpoint", "record.flush_seconds", "record.locking", "transport", "iterations",
)  # fmt: skip
"""Keys that do not bend the trajectory so far; more iterations have conditions of their own."""


@dataclass(frozen=True)
class Beginning:
    """What all ranks need to know of where they begin.

    Attributes
    ----------
    source : Source
    checkpoint : Path or None
        Where to go on from; None: from x^0.
    replaces : bool
        Whether an existing run file is to be replaced.
    notes : tuple of str
        What the user should know, a line each.
    over : str
        How the run ended already, if there is nothing to do.
    """

    source: Source
    checkpoint: Path | None = None
    replaces: bool = False
    notes: tuple[str, ...] = ()
    over: str = ""


def resumed(run_file: str | Path, wanted: Source | None = None, extend: int | None = None) -> Beginning:
    """How the run of a file goes on.

    Parameters
    ----------
    run_file : path
    wanted : Source, optional
        A config that must be the run's own, but for the keys that may change.
    extend : int, optional
        How many iterations the run is to have.

    Raises
    ------
    UserError
        When the file is no run file, its run still goes on, or the config has changed.
    """
    path = Path(run_file)
    head = Head.read(path)
    if is_being_written(path):
        raise UserError(f"{path} is being written by a run that still goes on; let it end first")
    raw = configs.parse(head.config_text, str(path))
    source = Source(raw, str(path), list(head.folders)) if wanted is None else wanted
    if extend is not None:
        source = replace(source, raw={**source.raw, "iterations": extend})
    source = replace(source, raw={**source.raw, "output": str(path)})
    differs = next(iter(differences(raw, source.raw)), None)
    if differs is not None:
        key, old, new = differs
        raise UserError(
            f"{source.name}: {key} is {new!r}, but the run in {path} has {old!r}; resume it unchanged with pmom resume "
            f"{path}, or start another by output= (-o)"
        )
    longer = _longer(path, raw, source)
    if head.status in ("finished", "diverged") and not (longer and head.status == "finished"):
        return Beginning(source, over=head.status)
    if head.dropped:
        raise UserError(
            f"{path}: its run went on without some of its nodes (transport.on_loss: drop) and cannot be resumed; start "
            "another with pmom run, or use on_loss: reassign"
        )
    found, passed = checkpoint.newest(path, head.run_id, head.rows)
    notes = tuple(f"note: {line}; passed over" for line in passed)
    if found is None:
        if longer and head.status == "finished":
            raise UserError(f"{path}: has no checkpoint to go on from; runs with a section checkpoint have one")
        return Beginning(source, None, True, (*notes, f"note: {path} has no checkpoint: the run starts again"))
    return Beginning(source, found.path, False, notes)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Keys that must not differ between two configs and do, with both values.

    Examples
    --------
    >>> list(differences({"seed": 1, "momentum": {"kind": "ema", "beta": 1}}, {"seed": 1, "momentum": {"kind": "ema"}}))
    [('momentum.beta', 1, None)]
    """
    before, after = dict(_leaves("", old)), dict(_leaves("", new))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and not key.startswith(MAY_CHANGE):
            yield key, before.get(key), after.get(key)


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield key, value
    else:
        for name, below in items:
            yield from _leaves(f"{key}.{name}" if key else str(name), below)


def _longer(path: Path, old: Mapping[str, Any], source: Source) -> bool:
    """Whether more iterations are wanted than the run was to have; raises `UserError` where that is not possible."""
    after = source.config()
    before = configs.from_raw(old, str(path))
    if after.iterations == before.iterations:
        return False
    if after.iterations < before.iterations:
        raise UserError(f"{source.name}: iterations: {after.iterations} is less than the {before.iterations} of {path}")
    if after.step_size.sees_total:
        raise UserError(
            f"{source.name}: iterations: the step size depends on their number, so a run of {after.iterations} does "
            f"not begin as the one of {before.iterations} in {path}"
        )
    return True
