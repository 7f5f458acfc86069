"""Modules that need PyTorch are only collected where it is installed: it is an optional extra."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["pmom_mpi/problems/torch_*.py", "tests/problems/torch_modules.py"]
