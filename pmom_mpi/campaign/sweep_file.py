"""A sweep file: from YAML to the runs it means."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmom_mpi import config as configs
from pmom_mpi.campaign import axes
from pmom_mpi.campaign.axes import Axis, Choice
from pmom_mpi.campaign.identity import DIGITS, of_config
from pmom_mpi.config import places
from pmom_mpi.words.errors import UserError, blame

KEYS = ("name", "base", "variants", "zip", "grid", "seeds", "exclude", "output")
NAME_LENGTH = 150


@dataclass(frozen=True)
class Planned:
    """A run of a sweep.

    Attributes
    ----------
    stem : str
        The name of its run file and config, without ending.
    told : dict of str to object
        The choices that made it, by axis.
    raw : dict
        Its config.
    identity : str
    iterations : int
        How many are wanted.
    """

    stem: str
    told: Mapping[str, Any]
    raw: dict[str, Any]
    identity: str
    iterations: int

    @property
    def seed(self) -> int:
        return int(self.raw.get("seed", 0))


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read.

    Attributes
    ----------
    path : Path
    name : str
    folder : Path
        Where its run files go.
    axes : tuple of str
        The names of what varies, but the seed.
    variants : tuple of str
        Those of them that are named lists of overrides.
    runs : tuple of Planned
    modules : tuple of Path
        Where the user's own modules may lie.
    """

    path: Path
    name: str
    folder: Path
    axes: tuple[str, ...]
    variants: tuple[str, ...]
    runs: tuple[Planned, ...]
    modules: tuple[Path, ...]

    def file(self, run: Planned) -> Path:
        """Where a run's file is."""
        return self.folder / f"{run.stem}.h5"


def load(path: str | Path, output: str | Path | None = None) -> Sweep:
    """Read a sweep file and check every config that it means.

    Parameters
    ----------
    path : path
        Or the name of a ready sweep.
    output : path, optional
        The folder of the run files, instead of the file's ``output``.

    Raises
    ------
    UserError
        One line with the file, the key, and what would be right.
    """
    path = places.find(path)
    raw = configs.load(path)
    with blame(str(path)):
        _check_keys(raw)
        base, modules = _base(path, raw)
        name = str(raw["name"])
        folder = Path(output) if output is not None else Path(str(raw.get("output", f"results/{name}")))
        named = axes.variants(raw.get("variants", {}))
        varied = [*named, *axes.zipped(raw.get("zip", [])), *axes.grid(raw.get("grid", {}))]
        _check_names(varied)
        seeds = axes.seeds(raw["seeds"]) if "seeds" in raw else []
        configs.allow_modules(str(place) for place in modules)
        excluded = _exclusions(raw.get("exclude", []), [*varied, *seeds])
        runs = _expand([*varied, *seeds], base, folder, excluded)
    names = tuple(name for axis in varied for name in axis.names)
    return Sweep(path, name, folder, names, tuple(axis.names[0] for axis in named), runs, modules)


def _check_keys(raw: Mapping[str, Any]) -> None:
    if "base" not in raw and "problem" in raw:
        raise UserError("a config of one run, which pmom run takes; a sweep file names it as its base")
    for key in raw:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"a sweep file has {', '.join(KEYS)}"
            raise UserError(f"{key}: unknown key; {hint}")
    if "base" not in raw:
        raise UserError("base: this key is required: a config, its path from the sweep file, or a ready one's name")


def _base(path: Path, raw: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The config that all runs begin with, and where its modules may lie."""
    base, folder = raw["base"], path.resolve().parent
    if isinstance(base, dict):
        return {"name": raw["name"], **base}, (folder,)
    if not isinstance(base, str):
        raise UserError(f"base: needs the path of a config, the name of a ready one, or a config, not {base!r}")
    place = places.find(folder / base)
    if not place.exists():
        place = places.ready().get(base, place)
    with blame("base"):
        if not place.exists() and not Path(base).suffix:
            near = difflib.get_close_matches(base, places.ready(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{base}: neither a config from {folder} nor a ready one's name{hint}")
        return configs.load(place), (folder, place.resolve().parent)


def _check_names(varied: Sequence[Axis]) -> None:
    seen: set[str] = set()
    for name in (name for axis in varied for name in axis.names):
        if name in seen or name in ("seed", "output"):
            right = {"seed": "seeds vary under seeds", "output": "run files are named by what varies"}
            raise UserError(f"{name}: {right.get(name, 'is varied twice; give it once')}")
        seen.add(name)


def _exclusions(raw: Any, varied: Sequence[Axis]) -> list[dict[str, list[Any]]]:
    """Of each the values by axis; a run that has one of each is left out."""
    if not isinstance(raw, list) or not all(isinstance(entry, dict) and entry for entry in raw):
        raise UserError(f"exclude: needs a list of mappings such as {{step_size: 0.5}}, not {raw!r}")
    known = {name: [choice.told[name] for choice in axis.choices] for axis in varied for name in axis.names}
    found = []
    for place, entry in enumerate(raw):
        for key, value in entry.items():
            if key not in known:
                raise UserError(f"exclude.{place}.{key}: does not vary here; what does: {', '.join(known)}")
            for part in _listed(value, known[key]):
                if part not in known[key]:
                    raise UserError(f"exclude.{place}.{key}: {part!r} is not among its values {known[key]}")
        found.append({key: _listed(value, known[key]) for key, value in entry.items()})
    return found


def _listed(value: Any, known: Sequence[Any]) -> list[Any]:
    """A list of values; a value that is a list itself stands for itself."""
    return value if isinstance(value, list) and value not in known else [value]


def _expand(
    varied: Sequence[Axis], base: Mapping[str, Any], folder: Path, excluded: Sequence[Mapping[str, list[Any]]]
) -> tuple[Planned, ...]:
    runs: dict[str, Planned] = {}
    for choices in itertools.product(*(axis.choices for axis in varied)):
        told = {key: value for choice in choices for key, value in choice.told.items()}
        if any(all(told[key] in values for key, values in entry.items()) for entry in excluded):
            continue
        run = _planned(choices, told, base, folder)
        if run.identity in runs:
            raise UserError(f"{run.stem} and {runs[run.identity].stem} are the same run: two choices say the same")
        runs[run.identity] = run
    if not runs:
        raise UserError("exclude: leaves no run")
    return tuple(runs.values())


def _planned(choices: Sequence[Choice], told: Mapping[str, Any], base: Mapping[str, Any], folder: Path) -> Planned:
    raw = dict(base)
    for choice in choices:
        for key, override in zip(choice.values, choice.overrides, strict=True):
            try:
                raw = configs.amend(raw, [override])
            except UserError as error:
                raise UserError(f"{key}: {str(error).partition(': ')[2]}") from None
    words = "-".join(choice.label for choice in choices)
    config = configs.from_raw(raw, words or "base")
    found = of_config(config)
    stem = f"{words[:NAME_LENGTH] or raw['name']}-{found[:DIGITS]}"
    raw["output"] = str(folder / f"{stem}.h5").replace("{", "{{").replace("}", "}}")
    varied = {key: value for key, value in told.items() if key != "seed"}
    return Planned(stem, varied, raw, found, config.iterations)
