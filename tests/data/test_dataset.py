"""What a model is given of a stored sample."""

import numpy as np
import pytest

from pmom_mpi.data.dataset import Scale, Split

IMAGES = np.arange(256, dtype=np.uint8).reshape(16, 4, 4)
LABELS = np.arange(16, dtype=np.uint8) % 10


@pytest.mark.parametrize(("mean", "std"), [(0.1307, 0.3081), (0.5, 0.5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_pixel_value_in_the_order_of_torchvision(mean, std, dtype):
    split = Split(IMAGES, LABELS, Scale(255.0, mean, std))
    pixels = [(dtype(p) / dtype(255) - dtype(mean)) / dtype(std) for p in range(256)]
    assert split.load(np.arange(16), dtype)[0].ravel().tolist() == pixels


@pytest.mark.parametrize("rows", [[3, 4, 5, 6], [6, 3, 15, 3], [5], [], [4, 3, 2], [0, 1, 3]])
def test_rows(rows):
    rows = np.array(rows, np.int64)
    inputs, targets = Split(IMAGES, LABELS, Scale(16.0)).load(rows, np.float32)
    assert inputs.shape == (len(rows), 16)
    assert inputs.flags.c_contiguous
    assert np.array_equal(inputs, IMAGES[rows].reshape(-1, 16) / np.float32(16))
    assert targets.dtype == np.int64
    assert np.array_equal(targets, LABELS[rows])


def test_out_is_filled_and_returned():
    split = Split(IMAGES, LABELS, Scale(255.0, 0.5, 0.5))
    out = np.full((3, 16), np.nan, np.float32)
    inputs, _ = split.load(np.arange(2, 5), np.float32, out=out)
    assert inputs is out
    assert np.array_equal(out, split.load(np.arange(2, 5), np.float32)[0])


def test_stored_data_is_not_changed():
    stored = np.linspace(0, 1, 8).reshape(4, 2)
    split = Split(stored, np.zeros(4), Scale(2.0, 0.1, 0.3))
    first, _ = split.load(np.arange(4), np.float64)
    assert np.array_equal(split.load(np.arange(4), np.float64)[0], first)
    assert stored[3, 1] == 1
