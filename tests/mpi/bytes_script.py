"""Run by test_bytes.py under mpirun: whole runs, with a look at what MPI received and at every rank's model.

Arguments: configs; the run files lie beside them. Rank 0 prints of each what the star counted and how many different
models the ranks had.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from mpi4py import MPI

import pmom_mpi
from pmom_mpi.method.downlink import Compressed
from pmom_mpi.transport.mpi import MpiRanks

stars, models = [], {}
star, unpack = MpiRanks.star, Compressed.unpack


def keep(self, *arguments):
    stars.append(star(self, *arguments))
    return stars[-1]


def watch(self, payload):
    model = unpack(self, payload)
    if payload.size:
        models.setdefault(id(self), (self, []))[1].append(hashlib.sha256(model.tobytes()).hexdigest())
    return model


def main() -> None:
    MpiRanks.star, Compressed.unpack = keep, watch
    for config in map(Path, sys.argv[1:]):
        stars.clear()
        models.clear()
        pmom_mpi.run(config, output=config.with_suffix(".h5"), overwrite=True)
        tell()


def tell() -> None:
    seen = max((digests for _, digests in models.values()), key=len, default=[])  # the warm-up's is shorter
    everyone = MPI.COMM_WORLD.gather(seen)
    if stars:
        same = all(other == everyone[0] for other in everyone)
        print("TOLD", json.dumps({
            "received": stars[0].received_bytes, "sent": stars[0].sent_bytes, "models": len(seen), "same": same,
            "ranks": len(everyone),
        }))  # fmt: skip


if __name__ == "__main__":
    main()
