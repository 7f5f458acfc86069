"""How the values of a message are coded: one small file a codec."""

from __future__ import annotations

from pmom_mpi.wire.values.base import Values
from pmom_mpi.wire.values.raw import Raw

_CODECS: list[type[Values]] = [Raw]

CODECS: dict[int, type[Values]] = {code: codec for codec in _CODECS for code in codec.codes}
"""From the value code of a header to the class that reads it."""
