"""Messages to payloads and back. docs/wire.md describes the format byte by byte."""

from __future__ import annotations

import struct
import sys
import zlib

import numpy as np

from pmom_mpi.wire import supports
from pmom_mpi.wire.indices import EverythingCodec, IndexCodec, Section, indices_of
from pmom_mpi.wire.message import Everything, Message, WireError
from pmom_mpi.wire.values import CODECS
from pmom_mpi.wire.values.raw import Raw

MAGIC = b"pm"
VERSION = 1
HEADER = struct.Struct("<2sBBBBHII")
"""Magic, version, flags, support code, value code, reserved (0), d, m."""

CHECKSUM = 1
"""The flag of a payload that ends in the CRC-32 of all bytes before."""

_CHECKSUM_SIZE = 4

if sys.byteorder != "little":
    raise ImportError("pmom_mpi.wire writes and reads memory as it is and needs a little-endian machine")


def max_bytes(dimension: int, dtype: np.dtype | type) -> int:
    """Enough bytes for any message of R^d whose values are as they are (`Raw`), to make buffers once.

    What the messages of a bias pipeline can take says `pmom_mpi.bias.pipeline.Pipeline.max_bytes`.
    """
    return frame(supports.max_size(dimension, dimension) + Raw.max_size(dimension, dtype))


def frame(sections: int) -> int:
    """The bytes of a payload with a checksum whose support and values take so many."""
    return HEADER.size + sections + _CHECKSUM_SIZE


def dense_values(out: np.ndarray, dimension: int, dtype: np.dtype | type) -> np.ndarray:
    """The place in ``out`` (uint8) where `encode` puts the values of a whole raw vector of R^d.

    A message whose values lie there already is encoded without copying them.
    """
    return out[HEADER.size : HEADER.size + dimension * np.dtype(dtype).itemsize].view(dtype)


def encode(message: Message, out: np.ndarray, checksum: bool = False) -> int:
    """Write the payload of a message.

    Parameters
    ----------
    message : Message
    out : ndarray of uint8, contiguous
        Where to; as many bytes as `bits` says, and 4 for a checksum.
    checksum : bool
        Append a CRC-32 that `decode` and `add` verify.

    Returns
    -------
    int
        How many bytes were written.
    """
    count = _check(message)
    index, plan = supports.plan(message.support, message.dimension)
    values = HEADER.size + plan.size
    end = values + message.values.size()
    if end + _CHECKSUM_SIZE * checksum > out.size:
        raise ValueError(f"the payload takes {end + _CHECKSUM_SIZE * checksum} bytes, the buffer has {out.size}")
    flags = CHECKSUM if checksum else 0
    HEADER.pack_into(out.data, 0, MAGIC, VERSION, flags, index.code, message.values.code, 0, message.dimension, count)
    plan.write(out[HEADER.size : values])
    message.values.write(out[values:end])
    if checksum:
        out[end : end + _CHECKSUM_SIZE] = np.array([zlib.crc32(out[:end].data)], "<u4").view(np.uint8)
        end += _CHECKSUM_SIZE
    return end


def decode(payload: np.ndarray) -> Message:
    """The message that a payload stands for, exactly as it was encoded.

    Its arrays may be views of ``payload`` (uint8, contiguous). Raises `WireError` for bytes that are no payload.
    """
    index, section, code, coded = _parse(payload)
    values = CODECS[code].read(code, coded, section.count)
    return Message(section.dimension, index.support(section), values)


def add(payload: np.ndarray, total: np.ndarray) -> None:
    """``total +=`` the vector that a payload stands for, straight from its bytes.

    Parameters
    ----------
    payload : ndarray of uint8, contiguous
    total : ndarray of float32 or float64, shape (d,), contiguous

    Raises
    ------
    WireError
        When the bytes are no payload for this d. ``total`` may then hold a part of the sum; nothing outside is touched.
    """
    index, section, code, coded = _parse(payload)
    if section.dimension != total.size:
        raise WireError(f"payload is for d = {section.dimension}, not {total.size}")
    index.add(section, CODECS[code], code, coded, total)


def to_dense(message: Message, out: np.ndarray) -> None:
    """What the receiver will see: ``out = 0``, then the message added, in the very arithmetic of `add`."""
    _check(message)
    if out.size != message.dimension:
        raise ValueError(f"the message is for d = {message.dimension}, not {out.size}")
    out[:] = 0
    if isinstance(message.support, Everything):
        message.values.add(out)
    else:
        message.values.add_at(indices_of(message.support, message.dimension), out)


def sections(payload: np.ndarray) -> dict[str, int | str]:
    """What a payload's bits are spent on.

    Examples
    --------
    >>> from pmom_mpi.wire.message import Indices
    >>> out = np.empty(max_bytes(1000, np.float32), np.uint8)
    >>> size = encode(Message(1000, Indices(np.array([7], np.uint32)), Raw(np.ones(1, np.float32))), out)
    >>> sections(out[:size])
    {'support': 'raw', 'values': 'Raw', 'header_bits': 128, 'index_bits': 32, 'value_bits': 32, 'checksum_bits': 0}
    """
    index, section, code, coded = _parse(payload)
    checksum = int(payload[3]) & CHECKSUM
    return {
        "support": index.name,
        "values": CODECS[code].__name__,
        "header_bits": 8 * HEADER.size,
        "index_bits": 8 * section.size,
        "value_bits": 8 * coded.size,
        "checksum_bits": 8 * _CHECKSUM_SIZE * checksum,
    }


def bits(message: Message) -> int:
    """How many bits `encode` will write, without writing them (and without checksum)."""
    _check(message)
    _, plan = supports.plan(message.support, message.dimension)
    return 8 * (HEADER.size + plan.size + message.values.size())


def _check(message: Message) -> int:
    """Raise ValueError when a sender's own message contradicts itself; returns m."""
    if not 0 <= message.dimension < 2**32:
        raise ValueError(f"d = {message.dimension} does not fit 32 bits")
    supports.check(message.support, message.dimension)
    count = supports.count(message.support, message.dimension)
    if message.values.count != count:
        raise ValueError(f"{message.values.count} values for {count} coordinates")
    if message.values.dense_only and not isinstance(message.support, Everything):
        raise ValueError(f"{type(message.values).__name__} values can only stand for all coordinates")
    return count


def _parse(payload: np.ndarray) -> tuple[type[IndexCodec], Section, int, np.ndarray]:
    """Header, checksum and support of a payload: index codec, support section, value code, and value section."""
    if payload.size < HEADER.size:
        raise WireError(f"{payload.size} bytes are too few for a header")
    magic, version, flags, support, code, reserved, dimension, count = HEADER.unpack_from(payload.data)
    if magic != MAGIC:
        raise WireError(f"payload begins with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise WireError(f"payload of format version {version}; this program reads {VERSION}")
    if flags not in (0, CHECKSUM) or reserved or code not in CODECS:
        raise WireError(f"unknown flags {flags}, reserved bytes {reserved} or value code {code}")
    if CODECS[code].dense_only and support != EverythingCodec.code:
        raise WireError(f"values of code {code} need the support of everything, not {support}")
    end = payload.size
    if flags & CHECKSUM:
        end -= _CHECKSUM_SIZE
        if end < HEADER.size or zlib.crc32(payload[:end].data) != int.from_bytes(payload[end:].tobytes(), "little"):
            raise WireError("checksum does not match: the payload was damaged")
    body = payload[HEADER.size : end]
    index, section = supports.find(support, dimension, count, body)
    return index, section, code, body[section.size :]
