"""All benchmarks of a training iteration, one after the other: start-up, memory, an iteration beside its floor.

Usage: python benchmarks/run.py [--ranks 3]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from pmom_mpi.cluster.launch import launch_command
from pmom_mpi.cluster.mpirun import with_path

HERE = Path(__file__).parent


def job(ranks: int, script: str, *arguments: str) -> None:
    """Run a script of this folder as an MPI job, or in one process when ``ranks`` is 0."""
    program = [sys.executable, str(HERE / script), *arguments]
    print(f"\n== {script}", flush=True)
    if ranks == 0:
        subprocess.run(program, check=True)
        return
    command = launch_command(ranks, program)
    environment = with_path(command.words[0]) | dict(command.variables)
    subprocess.run(command.words, check=True, env=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=3)
    ranks = parser.parse_args().ranks
    print(f"{os.cpu_count()} cores, {ranks} ranks; nothing else should run now")
    job(0, "startup.py", "--ranks", str(ranks))
    job(0, "selection.py")
    job(ranks, "memory.py")
    job(ranks, "iteration.py")


if __name__ == "__main__":
    main()
