"""How the values of a message are coded: one small file a codec."""

from __future__ import annotations

from pmom_mpi.wire.values.base import CODECS, Values, register
from pmom_mpi.wire.values.casts import FP8, BFloat16, Half
from pmom_mpi.wire.values.levels import Levels
from pmom_mpi.wire.values.low_rank import LowRank
from pmom_mpi.wire.values.natural import Natural
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.wire.values.signs import Signs
from pmom_mpi.wire.values.ternary import Ternary

__all__ = [
    "CODECS", "FP8", "BFloat16", "Half", "Levels", "LowRank", "Natural", "Raw", "Signs", "Ternary", "Values",
    "register",
]  # fmt: skip
