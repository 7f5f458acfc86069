"""Which of the user's own code a config runs: its ``module:Class`` kinds, and what a torch problem names likewise."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from pmom_mpi.config.checked import Config


def own_code(config: Config) -> tuple[str, ...]:
    """A line for everything whose code is not the package's: ``runs code of FILE (module:Class)``.

    It is known which file that is because `from_raw` has imported the module, or can: a torch problem's model, loss and
    augmentation are only looked up here, not imported.

    Examples
    --------
    >>> from pmom_mpi.config import from_raw
    >>> own_code(from_raw({"name": "a", "nodes": 1, "iterations": 1, "step_size": 1.0, "problem": "lqr"}))
    ()
    """
    return tuple(f"runs code of {_file(module)} ({module}:{name})" for module, name in dict.fromkeys(_named(config)))


def _named(config: Config) -> Iterator[tuple[str, str]]:
    problem = config.make_problem()
    chosen: list[Any] = [problem, *config.bias, *config.downlink, config.momentum, config.step_size]
    if config.data is not None:
        chosen.append(config.data.division)
    for item in chosen:
        cls = type(item)
        if cls.__module__.partition(".")[0] != "pmom_mpi":
            yield cls.__module__, cls.__qualname__
    section = config.section if isinstance(config.section, dict) else {}
    if section.get("kind") == "torch" and is_dataclass(problem):
        for field in fields(problem):
            value = section.get(field.name)
            module, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
            if colon and field.name != "device":  # cuda:0
                yield module, name


def _file(module: str) -> str:
    """Where a module's code lies; the module's name where no file tells."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    return found.origin if found is not None and found.origin else f"module {module}"
