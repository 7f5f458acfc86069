"""Writes a small run file, and reads it in another process while it grows: ``python -m ...growing FOLDER``.

A process of its own, since HDF5 reads its environment once, and may hang or crash on a broken file system.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pmom_mpi.doctor.files import CHILD_SECONDS, existing
from pmom_mpi.method.ledger import ITERATION
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.record.repair import is_being_written
from pmom_mpi.words.errors import UserError

ROWS = 3
READ = f"import sys; from pmom_mpi.analysis import read; sys.exit(read.load(sys.argv[1]).iterations != {ROWS})"


def try_out(folder: Path) -> dict[str, bool]:
    """Whether the growing file is seen to be locked; raises `UserError` when it cannot be written or read."""
    path = existing(folder) / f".pmom-doctor-{os.getpid()}.h5"
    try:
        with Recorder(path, "name: doctor\n", [ITERATION], 1, "float32", {}, flush_seconds=0.0) as recorder:
            for k in range(ROWS):
                recorder.append({"iteration": k})
            locked = is_being_written(path)
            command = [sys.executable, "-c", READ, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_SECONDS / 2)
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or [f"not all of its {ROWS} rows are seen"])[-1]
                raise UserError(f"{path.parent}: a growing run file cannot be read ({reason})")
    finally:
        path.unlink(missing_ok=True)
    return {"locked": locked}


if __name__ == "__main__":
    try:
        print(json.dumps(try_out(Path(sys.argv[1]))))
    except UserError as error:
        sys.exit(str(error))
