"""Which coordinates a message talks about, as bytes: the index codecs.

Of the three ways to send indices the cheapest is taken, message by message, from their exact sizes:

====== ==================== ===========================================================
code   name                 bytes
====== ==================== ===========================================================
0      everything           0
1      raw                  4 m
2      bitmap               ceil(d / 8)
3      rice                 about log2(binomial(d, m)) / 8 for random supports, less for clustered ones
4      seeded               8: the receiver draws the indices again
====== ==================== ===========================================================
"""

from __future__ import annotations

import numpy as np

from pmom_mpi.kernels.scatter import ascending_below
from pmom_mpi.wire.indices import (
    CODECS,
    BitmapCodec,
    EverythingCodec,
    IndexCodec,
    RawCodec,
    RiceCodec,
    Section,
    SeededCodec,
)  # fmt: skip
from pmom_mpi.wire.message import Everything, Indices, Seeded, Support, WireError
from pmom_mpi.wire.rice import Plan

_OF_INDICES = (RawCodec, BitmapCodec, RiceCodec)


def count(support: Support, dimension: int) -> int:
    """m, how many coordinates the support has."""
    if isinstance(support, Indices):
        return support.indices.size
    return dimension if isinstance(support, Everything) else support.count


def check(support: Support, dimension: int) -> None:
    """Raise ValueError when a sender's own support is not one of R^d."""
    if isinstance(support, Indices):
        indices = support.indices
        if indices.dtype != np.uint32 or indices.ndim != 1 or not ascending_below(indices, dimension):
            raise ValueError(f"indices must be uint32, strictly ascending and below d = {dimension}")
    elif isinstance(support, Seeded) and not 0 <= support.count <= dimension:
        raise ValueError(f"a seeded support of {support.count} coordinates does not fit d = {dimension}")


def plan(support: Support, dimension: int) -> tuple[type[IndexCodec], Plan]:
    """The cheapest way to write this (checked) support."""
    if isinstance(support, Everything):
        return EverythingCodec, EverythingCodec.plan(support, dimension)
    if isinstance(support, Seeded):
        return SeededCodec, SeededCodec.plan(support, dimension)
    plans = [(codec, codec.plan(support, dimension)) for codec in _OF_INDICES]
    return min(plans, key=lambda one: one[1].size)


def max_size(dimension: int, most: int) -> int:
    """The most bytes that any support of ``most`` or fewer coordinates of R^d can take."""
    return max(SeededCodec.max_size(dimension, most), RiceCodec.max_size(dimension, most))


def find(code: int, dimension: int, count: int, body: np.ndarray) -> tuple[type[IndexCodec], Section]:
    """The support at the beginning of ``body``; `WireError` where there is none."""
    if count > dimension:
        raise WireError(f"{count} values cannot belong to d = {dimension} coordinates")
    if code not in CODECS:
        raise WireError(f"unknown support code {code}")
    section = CODECS[code].find(dimension, count, body)
    if section.size > body.size:
        raise WireError(f"support section needs {section.size} bytes, {body.size} are left")
    return CODECS[code], section
