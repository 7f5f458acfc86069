"""Parallel momentum methods under biased gradient estimation, over MPI."""

__version__ = "0.1.0"
