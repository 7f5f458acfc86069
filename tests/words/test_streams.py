"""Random numbers are a part of a run's identity: what is drawn for what must never change unnoticed.

The draws of operators are pinned in tests/bias/test_draws.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.data import DataSpec, divide
from pmom_mpi.data.sampling import Batch
from pmom_mpi.networks.initialize import initialize
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream, generator, key

PINNED = {
    Stream.INIT: (0, 0xEC177CB7, 0xC6CFF09B556FA10C),
    Stream.PARTITION: (1, 0xBD0C35A3, 0xF0B5438E060D064F),
    Stream.BATCH: (2, 0x16E225D5, 0xA55C1B838448ADAD),
    Stream.COMPRESSOR: (3, 0x167E6560, 0x534F1009DEA9BDC1),
    Stream.AUGMENTATION: (4, 0x40AFE97B, 0x9EF0B90F2D56DFBA),
    Stream.EVALUATION: (5, 0x40380E38, 0xCEF8BAC89A8E56C),
    Stream.NOISE: (6, 0xBFC75EA3, 0xB7565EDE631EA3D4),
    Stream.DATA: (7, 0x13A1820, 0x71407F1B90FE23CE),
    Stream.ROLLOUT: (8, 0x9DE53BBD, 0x7937D41DB53871C3),
    Stream.DROPOUT: (9, 0x6DA4C54A, 0xD4E65EF2CDF7F77),
    Stream.REFERENCE: (10, 0xA9705BE0, 0x5AAAA81953E1D0A5),
}


@pytest.mark.parametrize("stream", Stream)
def test_a_stream_has_its_number_and_its_draws(stream):
    drawn = int(generator(5, stream, 3, 7).integers(2**32)), int(key(5, stream, 3, 7))
    assert (int(stream), *drawn) == PINNED[stream]


def test_batches_and_partitions():
    assert Batch(size=4).rows(10, 5, 3, 1).tolist() == [6, 7, 8, 0]
    assert Batch(size=4, order="replacement").rows(10, 5, 3, 1).tolist() == [2, 9, 2, 6]
    shards = divide(DataSpec("any", 2, "iid"), np.zeros(8, np.uint8), 5)
    assert [rows.tolist() for rows in shards] == [[0, 1, 3, 6], [2, 4, 5, 7]]


STARTS = {
    "glorot": [0.87588626, 1.0412588, -0.19259928, -0.8063382, 0, 0],
    "he": [-0.7515656, 0.85536784, 0.4148585, -0.53802943, 0, 0],
    "pytorch": [0.46704668, -0.528759, 0.5762491, 0.45244515, 0.594116, -0.54214555],
}


@pytest.mark.parametrize("kind", STARTS)
def test_starting_points(kind):
    layout = Layout(("weight", "bias"), ((2, 2), (2,)))
    np.testing.assert_array_equal(initialize(kind, layout, 5, "float32"), np.array(STARTS[kind], np.float32))
