"""Which run a config describes, and when a run file holds all of it: for sweeps, reproduction and status alike."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

from pmom_mpi import config as configs
from pmom_mpi.config import Config

IMMATERIAL = ("name", "output", "record", "checkpoint")
"""Keys of a config that change no number of a run."""
DIGITS = 8
"""Of an identity, in the name of a run file."""


def identity(raw: Mapping[str, Any], source: str = "config") -> str:
    """A hash of what a config says, not of how: 16 hexadecimal digits.

    Bare kinds, numbers as ``1`` or ``1.0`` and keys that are given their default make no difference, nor do the name,
    the place of the run file, what is recorded beside the metrics and when the run is saved.

    Parameters
    ----------
    raw : mapping
        The config as YAML holds it.
    source : str
        What an error calls it.

    Raises
    ------
    UserError
        When the config is not valid.

    Examples
    --------
    >>> raw = {"name": "a", "iterations": 3, "step_size": 1, "nodes": 2, "problem": "lqr", "momentum": "sgd"}
    >>> identity(raw) == identity(raw | {"step_size": 1.0, "momentum": {"kind": "sgd"}, "output": "b.h5", "seed": 0})
    True
    >>> identity(raw) == identity(raw | {"seed": 1})
    False
    """
    return of_config(configs.from_raw(raw, source))


def of_config(config: Config) -> str:
    """The `identity` of a config that has been checked."""
    material = {
        field.name: plain(value)
        for field in dataclasses.fields(config)
        if field.name not in IMMATERIAL and not _is_default(field, value := getattr(config, field.name))
    }
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """What JSON can hold of a value of a config; of an object its class and the fields that are not at their default.

    So a key that a later version adds, with a default that is what was done before, changes no identity.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        said = {
            field.name: plain(own)
            for field in dataclasses.fields(value)
            if field.init and not _is_default(field, own := getattr(value, field.name))
        }
        return {"kind": f"{kind.__module__}:{kind.__qualname__}", **said}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    return field.default is not dataclasses.MISSING and plain(value) == plain(field.default)


class Standing(Protocol):
    """A run as far as it is: a `Run`, or less of one."""

    @property
    def status(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def iterations(self) -> int: ...
    @property
    def planned(self) -> int: ...


def complete(run: Standing) -> bool:
    """Whether nothing is left to do for a run.

    It is finished, or diverged, with all its iterations; a run that is told to stop when it diverges has had them then.
    """
    if run.status == "diverged" and run.config.get("on_divergence", "stop") == "stop":
        return True
    return run.status in ("finished", "diverged") and run.iterations >= run.planned
