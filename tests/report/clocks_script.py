"""Clocks of ranks that are told to be on other hosts and are not: their difference is 0, within what is promised."""

import numpy as np

from pmom_mpi.transport.mpi import MpiRanks

ranks = MpiRanks()
assert (ranks.clocks() == 0).all()
ranks.hosts = [f"host{rank}" for rank in range(ranks.size)]
found = ranks.clocks()
assert found.shape == (ranks.workers, 2) and (found[:, 1] > 0).all()
assert (np.abs(found[:, 0]) <= found[:, 1]).all(), found
ranks.close()
if ranks.serves:
    print("agree")
