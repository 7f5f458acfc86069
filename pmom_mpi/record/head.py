"""What a run file says of its run, its numbers left alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pmom_mpi.record import events
from pmom_mpi.record.address import Address
from pmom_mpi.record.datasets import DataSets
from pmom_mpi.record.pack import is_packed
from pmom_mpi.record.reading import opened
from pmom_mpi.words.errors import UserError


@dataclass(frozen=True)
class Head:
    """The attributes that a run is gone on with.

    Attributes
    ----------
    config_text : str
        Its config, YAML.
    status : str
    run_id : str
    folders : tuple of str
        Where the user's own modules lay.
    rows : int
        How many iterations it holds.
    dropped : bool
        Whether it went on without some of its nodes.
    """

    config_text: str
    status: str
    run_id: str
    folders: tuple[str, ...]
    rows: int
    dropped: bool = False

    @classmethod
    def read(cls, path: str | Path) -> Head:
        """Also of a file whose writer was killed; raises `UserError` when it is no run file that can be resumed."""
        try:
            if is_packed(Address.parse(path).file):
                raise UserError(f"{path}: packed runs are there to be read; resume the run file that was packed")
            with opened(path) as file:
                found = file.attrs
                folders = tuple(str(file["provenance"].attrs["folders"]).split("\n"))
                rows = len(DataSets(file["metrics"]))
                dropped = any(events.DROPPED in event.what for event in events.read(file["events"]))
                return cls(str(found["config"]), str(found["status"]), str(found["run_id"]), folders, rows, dropped)
        except FileNotFoundError:
            raise UserError(f"{path}: no such run file") from None
        except (OSError, RuntimeError, ValueError, TypeError, AttributeError):
            raise UserError(
                f"{path}: {'a folder' if Path(path).is_dir() else 'not an HDF5 file, or damaged'}"
            ) from None
        except KeyError:
            raise UserError(f"{path}: no run file of pmom, or one from before runs could be resumed") from None
