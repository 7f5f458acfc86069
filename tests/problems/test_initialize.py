"""Starting points: bit-equality with PyTorch, and the variance scalings."""

import hashlib

import numpy as np
import pytest

from pmom_mpi.networks.initialize import initialize
from pmom_mpi.problems.mlp import MLP

# sha256 of the float32 bytes of torch.nn.Linear's parameters, layer after layer (weight, bias) in one vector, made
# after torch.manual_seed(seed) by PyTorch 2.13.0 on a CPU.
PYTORCH = [
    ((784, 512, 512, 10), 0, "5c73e093662be2a97b94d96447f21e60b617baf4f84d1b295a1ae9d26ce184bc"),
    ((784, 512, 512, 10), 3, "4740aaf33ee3f5fbe856e9f794e022be9bf5e557afaf3d3e20742c101a4fc8ea"),
    ((784, 512, 512, 10), 4294967295, "f8eb37c027cf59ab8a61af6562b9645a47e1c9d384902cc7c6b077be49cc7410"),
    ((784, 512, 512, 10), 4294967301, "e1e03c480545417fb71a56556fd3b3586798fe85fb0472e31b57877a7f94a78b"),
    ((64, 32, 10), 0, "d647f170efe6a81ea71b7616f37b09f53417a6c9b952c782e09f1b648323ae5e"),
    ((64, 32, 10), 3, "10f3bba2ab6f8206a7dd21b83141b85d5e088a6039542a7af773821a35a7912d"),
    ((64, 32, 10), 4294967295, "5dbb3660de68f3c16e384f1ab3955038a7696ca73eedca4f851cbe2f01b7a5f4"),
    ((64, 32, 10), 4294967301, "4c7feba09535e0060dd484693c0ad8dbf32728e1ce6951da32ff5d71f55b8c31"),
    ((3, 2), 0, "2675882b82a5db1bf2143b8fca5099dc50e2817b25447c7896e8193f5c41b3aa"),
    ((3, 2), 3, "6eaddec4427a0ab888a1c4627f8e252cae8af620ef4b6c33436503243dc88a44"),
    ((3, 2), 4294967295, "7da0cad06dfbc7a79ede20ec3367df5816394d005dfa03ebd8c8c4c8b44979b0"),
    ((3, 2), 4294967301, "79977f57f448a1a4962e0b87b4547825e10cd39d1a4ad27f2a952385f8f40d6a"),
    ((1, 17, 2), 0, "bec56f3580ba99bc18da1b4abe8c6c12c8e20dbcf3100cdf2309502e5a90fb07"),
]


def dense_layout(widths):
    return MLP(hidden=widths[1:-1]).shape(widths[0], widths[-1])


@pytest.mark.parametrize("widths, seed, digest", PYTORCH)
def test_pytorch_bits(widths, seed, digest):
    x = initialize("pytorch", dense_layout(widths), seed, np.float32)
    assert x.dtype == np.float32
    assert hashlib.sha256(x.astype("<f4").tobytes()).hexdigest() == digest


def test_pytorch_in_float64_starts_at_the_float32_point():
    layout = dense_layout((64, 32, 10))
    single, double = (initialize("pytorch", layout, 5, dtype) for dtype in (np.float32, np.float64))
    assert double.dtype == np.float64
    assert np.array_equal(single, double)


@pytest.mark.parametrize("kind, variance", [("glorot", lambda o, i: 2 / (o + i)), ("he", lambda o, i: 2 / i)])
def test_scaled_variances(kind, variance):
    layout = dense_layout((300, 200, 10))
    x = initialize(kind, layout, 1, np.float32)
    tensors = layout.views(x)
    for weight in tensors[::2]:
        assert abs(weight.mean()) < 4 * weight.std() / np.sqrt(weight.size)
        assert weight.var() == pytest.approx(variance(*weight.shape), rel=5 * np.sqrt(2 / weight.size))
    assert not any(bias.any() for bias in tensors[1::2])
    assert np.array_equal(x, initialize(kind, layout, 1, np.float32))
    assert not np.array_equal(x, initialize(kind, layout, 2, np.float32))


def test_zeros():
    assert not initialize("zeros", dense_layout((5, 4, 3)), 1, np.float64).any()
