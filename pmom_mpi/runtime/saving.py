"""When a run is saved."""

from __future__ import annotations

import time

from pmom_mpi.config.sections import Checkpoint
from pmom_mpi.record.checkpoint import CheckpointWriter
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.snapshot import Snapshot


class Saving:
    """Keeps snapshots as the config says; implements `pmom_mpi.method.server.Saver`.

    Parameters
    ----------
    when : Checkpoint
    recorder : Recorder
        Its rows are on the disk before a checkpoint that follows them.
    asks_nodes : bool
        Whether nodes remember anything.
    """

    def __init__(self, when: Checkpoint, recorder: Recorder, asks_nodes: bool) -> None:
        self.asks_nodes = asks_nodes
        self._when = when
        self._recorder = recorder
        self._writer = CheckpointWriter(recorder.path, recorder.run_id, when.keep)
        self._last = time.monotonic()

    def due(self, iteration: int) -> bool:
        when = self._when
        if when.every and iteration % when.every == 0:
            return True
        return bool(when.seconds) and time.monotonic() - self._last >= when.seconds

    def due_at_the_end(self, status: str) -> bool:
        """An interrupted run is always saved, so that it can be resumed; one that is saved at all can be extended."""
        return status == "interrupted" or bool(self._when.every or self._when.seconds)

    def begin(self, snapshot: Snapshot) -> None:
        self._recorder.flush()
        self._writer.begin(snapshot)

    def add(self, node: int, memory: Memory) -> None:
        self._writer.add(node, memory)

    def end(self) -> None:
        self._writer.end()
        self._last = time.monotonic()

    def wait(self) -> None:
        """Until the last checkpoint is safe; raises `UserError` when it could not be written."""
        self._writer.wait()

    def discard(self) -> None:
        """Leave a checkpoint that was begun and is not complete."""
        self._writer.discard()
