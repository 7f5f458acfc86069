"""Seconds from typing the command to the first iteration's row, and to the end, of a short MPI job.

Usage: python benchmarks/startup.py [--ranks 3] [--rounds 4]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

from pmom_mpi.cluster.launch import launch_command, pmom
from pmom_mpi.cluster.mpirun import with_path

CONFIG = Path(__file__).parent.parent / "configs" / "quickstart.yaml"


def start(ranks: int, output: str) -> tuple[float, float]:
    """Seconds until the line of the first iteration, and until the job's end."""
    program = pmom("run", str(CONFIG), "-s", "iterations=2", "-o", output, "--overwrite")
    command = launch_command(ranks, program)
    environment = with_path(command.words[0]) | dict(command.variables)
    began, first = time.perf_counter(), float("nan")
    with subprocess.Popen(command.words, stderr=subprocess.PIPE, text=True, env=environment) as job:
        assert job.stderr is not None
        for line in job.stderr:
            if line.startswith("1/2"):
                first = time.perf_counter() - began
    return first, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for place in range(arguments.rounds):
            first, end = start(arguments.ranks, os.path.join(folder, "startup.h5"))
            print(f"start {place + 1}: first iteration after {first:.2f} s, end after {end:.2f} s")


if __name__ == "__main__":
    main()
