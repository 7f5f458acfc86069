"""Checkpoints: all of a run between two iterations, in HDF5 files beside the run file.

Each is written under another name, synced and renamed, so that one that can be found is complete; the older ones go
only then. Every array carries a checksum. Of the nodes' memories one at a time is held.
"""

from __future__ import annotations

import json
import os
import re
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from pmom_mpi.record.place import cannot_write, sync
from pmom_mpi.record.seal import Damaged, check_seal, seal
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.report import Entry, Row
from pmom_mpi.words.snapshot import Snapshot

FORMAT_VERSION = 1
MEMORIES = ("momentum", "aggregate", "downlink", "companion")
PARTIAL = ".partial"


def generations(run_file: str | Path) -> list[Path]:
    """The checkpoints beside a run file, the newest first."""
    return sorted((item for item in _beside(run_file) if item.suffix == ".h5"), key=_iteration, reverse=True)


def clear(run_file: str | Path, above: int = -1) -> None:
    """Remove what must not stay beside a run file that begins or goes on.

    These are the checkpoints from behind iteration ``above``, which are damaged or of another run where one is gone on
    with, and would count as the newest ones; and what killed writers left half done.

    Raises
    ------
    UserError
        When that cannot be done.
    """
    with cannot_write(Path(run_file), "what lies beside it cannot be removed"):
        for path in _beside(run_file):
            if path.suffix == PARTIAL or _iteration(path) > above:
                path.unlink(missing_ok=True)


def _beside(run_file: str | Path) -> Iterator[Path]:
    """The checkpoints of a run file, and what is half done of them and of itself."""
    path = Path(run_file)
    whole = rf"{re.escape(_stem(path))}-\d{{9,}}\.h5"
    partial = rf"\.({whole}|{re.escape(path.name)})\.\d+\{PARTIAL}"
    for item in path.parent.glob("*"):
        if re.fullmatch(f"{whole}|{partial}", item.name) and not item.is_dir():
            yield item


def _stem(run_file: Path) -> str:
    """How the names of checkpoints begin; ``a.h5`` and ``a.hdf5`` must not share theirs."""
    return f"{run_file.stem if run_file.suffix == '.h5' else run_file.name}.checkpoint"


def _iteration(checkpoint: Path) -> int:
    return int(checkpoint.name.partition(".checkpoint-")[2].partition(".")[0])


class CheckpointWriter:
    """Writes checkpoints of one run: `begin`, `add` for each node, `end`.

    Parameters
    ----------
    run_file : Path
    run_id : str
        Which run they belong to.
    keep : int
        How many generations stay.
    """

    def __init__(self, run_file: str | Path, run_id: str, keep: int) -> None:
        self._run_file = Path(run_file)
        self._run_id = run_id
        self._keep = keep
        self._syncing: threading.Thread | None = None
        self._failure: OSError | None = None
        self._file: h5py.File | None = None

    def begin(self, snapshot: Snapshot) -> None:
        """Write the server's side; raises `UserError` when that, or the end of the checkpoint before, fails."""
        self.wait()
        self._path = self._run_file.with_name(f"{_stem(self._run_file)}-{snapshot.iteration:09d}.h5")
        self._partial = self._path.with_name(f".{self._path.name}.{os.getpid()}{PARTIAL}")
        head = {"iteration": snapshot.iteration, "total": snapshot.total, "run_id": self._run_id}
        with self._writing():
            self._partial.unlink(missing_ok=True)
            # Exclusively: never through anybody's link. Unlocked: nobody else knows of it before it has its name.
            self._file = h5py.File(self._partial, "x", libver="latest", locking=False)
            text = json.dumps(head | {"row": snapshot.entry.row})
            self._file.attrs.update(format_version=FORMAT_VERSION, head=text, crc32=zlib.crc32(text.encode()))
            _write(self._file, "server", {"x": snapshot.x})
            memories = dict(zip(MEMORIES, snapshot.memories, strict=True))
            for name in MEMORIES:
                _write(self._file, f"server/{name}", memories[name])
            _write(self._file, "entry/nodes", snapshot.entry.nodes)
            _write(self._file, "entry/workers", snapshot.entry.workers)

    def add(self, node: int, memory: Memory) -> None:
        """Write what is remembered of a node."""
        with self._writing():
            _write(self._file, f"nodes/{node}", memory)

    def end(self) -> None:
        """The checkpoint is complete; it gets its name once it is on the disk, while the run goes on."""
        assert self._file is not None
        with self._writing():
            self._file.close()
        self._syncing = threading.Thread(target=self._settle, args=(self._partial, self._path))
        self._syncing.start()

    def discard(self) -> None:
        """Leave a checkpoint that was begun and is not complete."""
        self.wait()
        if self._file:
            self._file.close()
            self._partial.unlink(missing_ok=True)

    def wait(self) -> None:
        """Wait until the last checkpoint has its name; raises `UserError` when it could not be written."""
        if self._syncing is not None:
            self._syncing.join()
            self._syncing = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            with cannot_write(self._path, "the checkpoint before it is whole"):
                raise failure

    def _settle(self, partial: Path, path: Path) -> None:
        try:
            seal(partial)
            sync(self._run_file)  # a checkpoint is of no use without the rows before it
            sync(partial)
            os.replace(partial, path)
            sync(path.parent)
            for old in generations(self._run_file)[self._keep :]:
                old.unlink(missing_ok=True)
        except OSError as error:
            self._failure = error
            partial.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A checkpoint that cannot be written is left behind; those before it stay."""
        with cannot_write(self._path, "the checkpoints before it are whole"):
            try:
                yield
            except BaseException:
                for handle in [self._file, *_datasets(self._file)] if self._file else []:
                    handle.id.locked = True  # never closed: HDF5 would write once more, fail, and crash as Python ends
                self._partial.unlink(missing_ok=True)
                raise


class Checkpoint:
    """A checkpoint, read.

    Parameters
    ----------
    path : path

    Raises
    ------
    Damaged
        When the file is no checkpoint, or its head is damaged.

    Attributes
    ----------
    iteration, total : int
        The next iteration, and how many the run was to have.
    run_id : str
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._reading() as file:
            if int(file.attrs["format_version"]) != FORMAT_VERSION:
                raise Damaged(f"is of format {file.attrs['format_version']}; this pmom reads {FORMAT_VERSION}")
            text = str(file.attrs["head"])
            if zlib.crc32(text.encode()) != int(file.attrs["crc32"]):
                raise Damaged("its head is damaged")
            head = json.loads(text)
            self.iteration, self.total, self.run_id = int(head["iteration"]), int(head["total"]), str(head["run_id"])
            self._row: Row = {str(name): float(value) for name, value in head["row"].items()}

    def verify(self) -> None:
        """Read every array once; raises `Damaged` where one is not as it was written."""
        with self._reading() as file:
            for dataset in _datasets(file):
                self._read(dataset)

    def snapshot(self) -> Snapshot:
        """The server's side; raises `Damaged`."""
        with self._reading() as file:
            entry = Entry(self._row, self._group(file, "entry/nodes"), self._group(file, "entry/workers"))
            momentum, aggregate, downlink, companion = (self._group(file, f"server/{name}") for name in MEMORIES)
            x = self._read(file["server/x"])
        return Snapshot(self.iteration, self.total, x, momentum, aggregate, downlink, companion, entry)

    def downlink(self) -> Memory:
        """What is remembered of the broadcasts, by server and nodes alike; raises `Damaged`."""
        with self._reading() as file:
            return self._group(file, "server/downlink")

    def node(self, node: int) -> Memory:
        """What is remembered of a node; raises `Damaged`."""
        with self._reading() as file:
            return self._group(file, f"nodes/{node}")

    @contextmanager
    def _reading(self) -> Iterator[h5py.File]:
        try:
            with h5py.File(self.path, "r", locking=False) as file:
                yield file
        except Damaged as error:
            raise Damaged(f"{self.path}: {error}") from None
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            raise Damaged(f"{self.path}: no checkpoint, or damaged ({str(error).splitlines()[0]})") from None

    def _group(self, file: h5py.File, name: str) -> Memory:
        return {key: self._read(dataset) for key, dataset in file[name].items()} if name in file else {}

    def _read(self, dataset: h5py.Dataset) -> np.ndarray:
        """An array whose size the file can hold and whose bytes are those that were written."""
        if dataset.external or dataset.is_virtual:
            raise Damaged(f"{dataset.name} lies in another file")
        if dataset.id.get_storage_size() < dataset.nbytes or dataset.nbytes > self.path.stat().st_size:
            raise Damaged(f"{dataset.name} is cut off")
        array = np.asarray(dataset[()])
        if zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data) != int(dataset.attrs["crc32"]):
            raise Damaged(f"{dataset.name} is damaged")
        return array


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """What shows inside that a checkpoint is damaged, or of another run, is the user's to know."""
    try:
        yield
    except Damaged as error:
        raise UserError(str(error)) from None
    except ValueError as error:
        raise UserError(f"{path}: does not fit this run: {error}") from None


def newest(run_file: str | Path, run_id: str, rows: int) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run, and why newer ones are passed over, a line each.

    It can only be gone on from if the run file's ``rows`` reach up to it: after a power failure they may not.
    """
    passed: list[str] = []
    for path in generations(run_file):
        try:
            check_seal(path)
            found = Checkpoint(path)
            if found.run_id != run_id:
                raise Damaged(f"{path}: belongs to another run")
            if found.iteration - 1 > rows:
                raise Damaged(f"{path}: follows {found.iteration - 1} rows, and the run file holds {rows}")
            found.verify()
        except Damaged as error:
            passed.append(str(error))
        else:
            return found, passed
    return None, passed


def _write(file: h5py.File, group: str, memory: Mapping[str, np.ndarray]) -> None:
    place = file.require_group(group)
    for name, array in memory.items():
        dataset = place.create_dataset(name, data=array)
        dataset.attrs["crc32"] = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _datasets(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found
