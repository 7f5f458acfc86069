"""The folder of a sweep: the configs of its runs, and who has taken which."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import IO, Any

from pmom_mpi import config as configs
from pmom_mpi.campaign import states
from pmom_mpi.campaign.identity import IMMATERIAL
from pmom_mpi.campaign.sweep_file import Planned, Sweep
from pmom_mpi.record import choices
from pmom_mpi.runtime.resume import differences
from pmom_mpi.words.errors import UserError


def write_configs(sweep: Sweep) -> None:
    """Write the config of every run beside its run file, and for all of them what the sweep calls their choices.

    Raises
    ------
    UserError
        When the folder cannot be written, or holds runs that the sweep file meant before it was changed.
    """
    try:
        sweep.folder.mkdir(parents=True, exist_ok=True)
        _check_unchanged(sweep)
        for run in sweep.runs:
            place = sweep.folder / f"{run.stem}.yaml"
            text = configs.to_yaml(run.raw)
            if not place.exists() or place.read_text(encoding="utf-8") != text:
                partial = place.with_name(f".{place.name}.{socket.gethostname()}-{os.getpid()}")
                partial.write_text(text, encoding="utf-8")
                partial.replace(place)
        choices.write(sweep.folder, {run.stem: dict(run.told) for run in sweep.runs})
    except OSError as error:
        raise UserError(
            f"{sweep.folder}: cannot write there ({error.strerror}); choose another folder with -o"
        ) from None


def _check_unchanged(sweep: Sweep) -> None:
    """Refuse a folder where the same choices were run with another base config."""
    begun = {_words(path.stem): path for path in sweep.folder.glob("*.h5") if states.NAMED.search(path.stem)}
    now = {run.stem for run in sweep.runs}
    for run in sweep.runs:
        old = begun.get(_words(run.stem))
        if old is None or old.stem in now or not old.with_suffix(".yaml").exists():
            continue
        before: dict[str, Any] = configs.load(old.with_suffix(".yaml"))
        keys = [key for key, *_ in differences(before, run.raw)]
        keys = keys or [key for key in run.raw if key not in IMMATERIAL and before.get(key) != run.raw[key]]
        raise UserError(
            f"{sweep.path}: {', '.join(keys)}: changed since {old} was run; choose another folder with -o, or change "
            "it back"
        )


def _words(stem: str) -> str:
    """A run's name without its hash."""
    return states.NAMED.sub("", stem)


def claim(folder: Path, run: Planned) -> IO[str] | None:
    """A lock on a run, held until it is closed by us and by the run; None while somebody else has it."""
    place = folder / ".locks"
    place.mkdir(exist_ok=True)
    taken = (place / run.stem).open("w")
    try:
        fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        taken.close()
        return None
    except OSError as error:
        taken.close()
        raise UserError(f"{place}: this file system has no locks ({error.strerror}); choose another with -o") from None
    return taken
