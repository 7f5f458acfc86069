"""A damaged heap would keep HDF5 busy for ever: it is refused with a line."""

from __future__ import annotations

import re
import struct
import subprocess
import sys

import pytest
from test_recorder import recorder, row

from pmom_mpi.analysis import read
from pmom_mpi.record.heaps import BEGINS, BLOCK, HEAP, OBJECT, is_endless, refuse_endless_heaps
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.words.errors import UserError


@pytest.fixture
def ended(tmp_path):
    path = tmp_path / "run.h5"
    written = recorder(path)
    written.append(row(0))
    written.finish("finished")
    return path


def free_object_without_room(path) -> None:
    """The first heap's free object, the last of it, says that it has no room."""
    data = bytearray(path.read_bytes())
    at = data.index(BEGINS) + HEAP.size
    while (index := OBJECT.unpack_from(data, at)[0]) != 0:
        at += OBJECT.size + (OBJECT.unpack_from(data, at)[2] + 7) // 8 * 8
    assert index == 0
    OBJECT.pack_into(data, at, 0, 0, 0)
    path.write_bytes(data)


def test_a_heap_without_an_end_is_refused_wherever_the_file_is_opened(ended):
    before = read.load(ended)
    assert before.iterations == 1
    free_object_without_room(ended)
    for act in (read.load, read.open_run, lambda path: Recorder.reopen(path, 1)):
        with pytest.raises(UserError, match=re.escape(f"{ended}: damaged; HDF5 would never come to an end with it")):
            act(ended)


@pytest.mark.slow
def test_hdf5_itself_would_not_come_to_an_end(ended):
    """Why we look: when this fails, HDF5 looks itself, and `pmom_mpi.record.heaps` can go."""
    free_object_without_room(ended)
    script = "import h5py, sys; file = h5py.File(sys.argv[1], 'r'); print(dict(file.attrs))"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", script, str(ended)], timeout=30)


def test_room_is_counted_in_64_bits():
    """A size so large that the room of an object, head and rounding included, is 2^64, which is 0."""
    head = HEAP.pack(b"GCOL", 1, 4096)
    assert is_endless(head + OBJECT.pack(1, 1, 2**64 - 16))
    assert not is_endless(head + OBJECT.pack(1, 1, 5) + bytes(8) + OBJECT.pack(0, 0, 4096 - 16 - 24))
    assert not is_endless(head + struct.pack("<HH", 1, 1))  # cut short


@pytest.mark.parametrize("place", [0, BLOCK - 16, BLOCK - 7, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
def test_heaps_are_found_wherever_they_begin(tmp_path, place):
    path = tmp_path / "file"
    path.write_bytes(bytes(place) + HEAP.pack(b"GCOL", 1, 4096) + OBJECT.pack(0, 0, 0) + bytes(4000))
    with pytest.raises(UserError, match="would never come to an end"):
        refuse_endless_heaps(path)
    path.write_bytes(bytes(place) + HEAP.pack(b"GCOL", 1, 4096) + OBJECT.pack(0, 0, 4080) + bytes(4000))
    refuse_endless_heaps(path)
