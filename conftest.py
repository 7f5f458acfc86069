"""Modules that need PyTorch are only collected where it is installed: it is an optional extra."""

import os
from importlib.util import find_spec

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as `pmom` does: bits may depend on it; before numpy is imported

collect_ignore_glob = [] if find_spec("torch") else ["pmom_mpi/problems/torch_*.py", "tests/problems/torch_*.py"]
