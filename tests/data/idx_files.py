"""IDX files written from the format's definition."""

import numpy as np


def idx_bytes(array):
    """An IDX file of bytes, written from its definition."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.astype(np.uint8).tobytes()
