"""What a diagnosis costs: the time of diagnosed iterations beside the others of one run, which both compute a gradient.

python benchmarks/diagnosis.py [CONFIG] [-s KEY=VALUE ...]     by default quickstart, 200 iterations

2 is one more full gradient where batches are full.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from pmom_mpi.analysis import read
from pmom_mpi.runtime.experiment import run

TIMES = ("time_total", "time_evaluate", "time_gradient", "time_bias", "time_decode", "time_momentum")


def main() -> None:
    words = sys.argv[1:]
    config = words.pop(0) if words and words[0] != "-s" else "quickstart"
    changes = ["evaluate.every=0", "diagnostics.every=2", *(word for word in words if word != "-s")]
    with tempfile.TemporaryDirectory() as folder:
        run(config, changes, output=Path(folder) / "run.h5")
        metrics = read.load(Path(folder) / "run.h5").metrics
        found = {name: metrics[name] for name in (*TIMES, "diag_value")}
    due = np.isfinite(found["diag_value"])
    for name in TIMES:
        with_it, without = np.median(found[name][2:][due[2:]]), np.median(found[name][2:][~due[2:]])
        print(f"{name:16}{1e3 * with_it:10.3f} ms diagnosed{1e3 * without:10.3f} ms otherwise")
    gradient = np.median(found["time_gradient"][2:][~due[2:]])
    total = np.median(found["time_total"][2:][due[2:]]) - np.median(found["time_total"][2:][~due[2:]])
    print(f"a diagnosis takes {total / gradient:.2f} times a gradient of the run's batches")


if __name__ == "__main__":
    main()
