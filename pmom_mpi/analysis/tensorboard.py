"""A run as an event file of TensorBoard.

The format is written by hand, for what writes it otherwise is TensorFlow or PyTorch, hundreds of megabytes for two
things: records framed by their length and masked CRC-32C ("TFRecord"), and in each a protobuf message ``Event`` of a
wall time, a step and scalars. TensorBoard itself reads it in the tests.

References
----------
tensorflow/core/lib/io/record_writer.h; tensorflow/core/util/event.proto; tensorflow/core/framework/summary.proto;
"Encoding", protobuf.dev.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from pmom_mpi.analysis.read import Run
from pmom_mpi.words.report import Metric

NAME = "events.out.tfevents.pmom"
"""Always the same, so that a run that is exported again replaces itself."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Protobuf's wire types."""

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, bits reversed."""


def _table() -> list[int]:
    found = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
        found.append(crc)
    return found


TABLE = _table()


def write(run: Run, folder: Path) -> Path:
    """An event an iteration, with all metrics that were measured in it; TensorBoard names the run by its folder.

    Values become float32, which is what TensorBoard draws. The wall time is the file's making and the iterations' own
    seconds since.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with path.open("wb") as file:
        file.writelines(map(_record, _events(run)))
    return path


def _events(run: Run) -> Iterator[bytes]:
    began = datetime.fromisoformat(str(run.attributes["created"])).timestamp()
    yield _number(1, FIXED64, began) + _bytes(3, b"brain.Event:2")
    names = [name for name in run.metrics if name != "iteration"]
    columns = [run.metrics[name].astype(float).tolist() for name in names]
    tags = [_bytes(1, name.encode()) for name in names]
    said = [_described(run.described[name]) for name in names]  # once a tag is enough
    spent = began + np.cumsum(run.metrics["time_total"])
    for step, when, *row in zip(run.metrics["iteration"].tolist(), spent.tolist(), *columns, strict=True):
        summary = b""
        for place, value in enumerate(row):
            if value == value:
                summary += _bytes(1, tags[place] + _number(2, FIXED32, value) + said[place])
                said[place] = b""
        yield _number(1, FIXED64, when) + _number(2, VARINT, step) + _bytes(5, summary)


def _described(metric: Metric) -> bytes:
    """What TensorBoard shows beside a picture, and what draws it: without that, readers of the file complain."""
    unit = f" [{metric.unit}]" if metric.unit not in ("", "1") else ""
    return _bytes(9, _bytes(1, _bytes(1, b"scalars")) + _bytes(3, f"{metric.description}{unit}".encode()))


def _number(field: int, kind: int, value: float) -> bytes:
    if kind == VARINT:
        return _varint(field << 3 | kind) + _varint(int(value))
    if kind == FIXED64:
        return _varint(field << 3 | kind) + struct.pack("<d", value)
    with np.errstate(over="ignore"):  # beyond float32 lies infinity
        return _varint(field << 3 | kind) + np.float32(value).tobytes()


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", masked(length)) + content + struct.pack("<I", masked(content))


def masked(content: bytes) -> int:
    """The CRC-32C of bytes, rotated and shifted as TFRecord has it."""
    crc = crc32c(content)
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """Castagnoli's checksum of bytes.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))  # its published check value
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in content:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
