"""What sets runs apart: the keys of their configs, or the axes of the sweep that made them, in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pmom_mpi.analysis.read import Run, one_line

UNTOLD = ("output", "name")
"""Keys that say nothing of what was run."""


def flat(section: Any, path: str = "") -> dict[str, Any]:
    """A config's values by key path.

    Examples
    --------
    >>> flat({"seed": 1, "bias": [{"kind": "top_k", "k": 5}]})
    {'seed': 1, 'bias.0.kind': 'top_k', 'bias.0.k': 5}
    """
    parts = list(section.items() if isinstance(section, dict) else enumerate(section)) if _deep(section) else []
    if not parts:
        return {path: section} if path else {}
    return {
        key: value for own, part in parts for key, value in flat(part, f"{path}.{own}" if path else str(own)).items()
    }


def texts(config: Any) -> dict[str, str]:
    """The same as texts, without sections that hold nothing.

    Examples
    --------
    >>> texts({"seed": 1, "bias": [{"kind": "top_k", "k": 5}], "downlink": []})
    {'seed': '1', 'bias.0.kind': 'top_k', 'bias.0.k': '5'}
    """
    return {key: str(value) for key, value in flat(config).items() if not isinstance(value, (dict, list))}


def setting(run: Run, key: str) -> Any:
    """What a run has at a key path of its config, or on an axis of its sweep; `KeyError` where it has nothing."""
    return run.choices[key] if key in run.choices else _configured(run, key)


def _configured(run: Run, key: str) -> Any:
    found: Any = run.config
    for part in key.split("."):
        if isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, dict):
            found = found[part]
        else:
            raise KeyError(key)
    return found


def words(value: Any) -> Any:
    """What stands for a value on an axis: a number or text as it is, a section in words.

    Examples
    --------
    >>> words(0.1), words([{"kind": "ef21"}, {"kind": "top_k", "k": 5}]), words([])
    (0.1, 'ef21 + top_k (k 5)', 'none')
    """
    if isinstance(value, list):
        return " + ".join(one_line(part) for part in value) or "none"
    return one_line(value) if isinstance(value, dict) or value is None else value


def same(one: Any, other: Any) -> bool:
    """Whether two values of configs mean the same: numbers may be texts, as YAML reads 1e-3, and sections words."""
    if one == other or words(one) == other:
        return True
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return False


def axes(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The keys in which runs differ and their values, seeds last; a section whose keys are not the same as a whole."""
    if runs and all(run.choices and run.choices.keys() == runs[0].choices.keys() for run in runs):
        names = [*runs[0].choices, "seed"]
    else:
        names = _keys([run.config for run in runs])
    found = {name: _values(runs, name) for name in names}
    return {name: values for name, values in found.items() if len(values) > 1}


def place(run: Run, names: Mapping[str, Any]) -> dict[str, Any]:
    """Where a run is on axes."""
    return {name: words(_found(run, name)) for name in names}


def differing(runs: Sequence[Run], ignored: tuple[str, ...] = UNTOLD) -> dict[str, list[str]]:
    """The keys of configs that are not the same in all runs, each run's value in words, empty where it has none.

    A section whose keys are not the same is one key, a pipeline its stages in a line.
    """
    found = {}
    for key in _keys([run.config for run in runs]):
        told = [_in_words(run, key) for run in runs]
        if len(set(told)) > 1 and not key.startswith(ignored):
            found[key] = told
    return found


def _in_words(run: Run, key: str) -> str:
    try:
        return str(words(_configured(run, key)))
    except KeyError:
        return ""


def _keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    sections = dict.fromkeys(key for config in configs for key in config if key not in (*UNTOLD, "seed"))
    names: list[str] = []
    for section in sections:
        each = [flat(config.get(section, {}), section) for config in configs]
        alike = all(own.keys() == each[0].keys() for own in each)
        names += list(each[0]) if alike else [section]
    return [*names, "seed"]


def _values(runs: Sequence[Run], name: str) -> list[Any]:
    found = list(dict.fromkeys(words(_found(run, name)) for run in runs))
    return sorted(found) if all(isinstance(value, (int, float)) for value in found) else found


def _found(run: Run, name: str) -> Any:
    try:
        return setting(run, name)
    except KeyError:
        return 0 if name == "seed" else None


def _deep(section: Any) -> bool:
    return isinstance(section, (dict, list))
