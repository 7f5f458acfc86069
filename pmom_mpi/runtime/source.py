"""A config before it means anything: what was written, with overrides applied, and where its modules may lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmom_mpi import config as configs
from pmom_mpi.config import Config, places
from pmom_mpi.words.errors import UserError

Raw = str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A config as it was written, its overrides applied.

    Attributes
    ----------
    raw : dict
    name : str
        What messages call it: the file.
    folders : list of str
        Where the user's own modules may lie.
    """

    raw: dict[str, Any]
    name: str
    folders: list[str]

    @classmethod
    def read(cls, config: Raw, overrides: Iterable[str] = (), output: str | Path | None = None) -> Source:
        """From a file, or from what one holds; raises `UserError`."""
        if isinstance(config, Mapping):
            return cls(configs.amend(config, overrides, output), "config", [str(Path.cwd())])
        path = places.find(config)
        folder = path.resolve().parent
        written = configs.load(path)
        if "base" in written:
            raise UserError(f"{config}: a sweep file, which means many runs: pmom sweep, or pmom submit, takes it")
        raw = configs.amend(written, overrides, output)
        return cls(raw, str(config), [str(Path.cwd()), str(folder)])

    def config(self) -> Config:
        """What it says, typed; the user's own modules can be imported from then on. Raises `UserError`."""
        configs.allow_modules(self.folders)
        return configs.from_raw(self.raw, self.name)
