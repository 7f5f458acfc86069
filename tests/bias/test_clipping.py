"""Clipping against the formulas in numpy and against PyTorch's clip_grad_norm_, operation by operation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pmom_mpi.analysis import read
from pmom_mpi.bias.base import Step
from pmom_mpi.bias.clipping import ClipAdaptive, ClipNorm, ClipSmooth, ClipValue, Normalize
from pmom_mpi.kernels.norms import norm
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime import setting as preparation
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout

LAYOUT = Layout(("weight", "bias", "tail"), ((3, 4), (4,), (1,)))
DTYPES = (np.float32, np.float64)
BOUNDARIES = list(LAYOUT.offsets[1:-1])


def step(memory=None):
    return Step(0, 0, 0, LAYOUT, {} if memory is None else memory)


def gradients(bound=1e6):
    """Finite gradients of LAYOUT, zeros and denormals among them."""
    return st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays(
            dtype, LAYOUT.dimension, elements=st.floats(-bound, bound, width=8 * np.dtype(dtype).itemsize)
        )
    )


def applied(stage, gradient):
    found = gradient.copy()
    return found, stage.apply(found, step(stage.init(LAYOUT, gradient.dtype)))


def tolerance(gradient):
    return 4 * np.finfo(gradient.dtype).eps


def torch_clip_grad_norm(tensors, max_norm):
    """torch.nn.utils.clip_grad_norm_ in float32, step by step: norms of norms, + 1e-6, clamp to 1, multiply."""
    norms = np.array([np.linalg.norm(tensor) for tensor in tensors], np.float32)
    total = np.float32(np.linalg.norm(norms))
    coefficient = np.minimum(np.float32(max_norm) / (total + np.float32(1e-6)), np.float32(1.0))
    return [tensor * coefficient for tensor in tensors]


@given(gradients(), st.floats(1e-3, 1e3))
def test_clip_norm_is_the_formula(gradient, tau):
    found, (active,) = applied(ClipNorm(tau), gradient)
    length = np.linalg.norm(gradient.astype(np.float64))
    factor = min(1.0, tau / (length + 1e-6))
    np.testing.assert_allclose(found, gradient * factor, rtol=tolerance(gradient), atol=1e-37)
    assert active == (factor < 1.0)
    if not active:
        np.testing.assert_array_equal(found, gradient)


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.sampled_from([1.0, 2.0, 5.0]))
def test_clip_norm_follows_torch(seed, magnitude, tau):
    gradient = (10.0**magnitude * np.random.default_rng(seed).standard_normal(LAYOUT.dimension)).astype(np.float32)
    found, _ = applied(ClipNorm(tau), gradient)
    expected = np.concatenate(torch_clip_grad_norm(np.split(gradient, BOUNDARIES), tau))
    np.testing.assert_allclose(found, expected, rtol=5e-7)


@given(gradients(), st.floats(1e-3, 1e3))
def test_layers_are_clipped_one_by_one(gradient, tau):
    found, (active,) = applied(ClipNorm(tau, scope="layer"), gradient)
    flags = []
    for part, source in zip(np.split(found, BOUNDARIES), np.split(gradient, BOUNDARIES), strict=True):
        alone = source.copy()
        flags += ClipNorm(tau).apply(alone, step())
        np.testing.assert_array_equal(part, alone)
    assert active == pytest.approx(np.mean(flags))


@given(gradients(), st.floats(1e-3, 1e3))
def test_clip_value_clamps(gradient, tau):
    found, (active,) = applied(ClipValue(tau), gradient)
    bound = gradient.dtype.type(tau)
    np.testing.assert_array_equal(found, np.clip(gradient, -bound, bound))
    assert active == float(np.any(found != gradient))


@given(gradients(), st.floats(1e-3, 1e3))
def test_smooth_clip_is_the_formula_and_below_tau(gradient, tau):
    found, _ = applied(ClipSmooth(tau), gradient)
    length = np.linalg.norm(gradient.astype(np.float64))
    np.testing.assert_allclose(found, gradient * (tau / (tau + length)), rtol=tolerance(gradient), atol=1e-37)
    assert norm(found) <= tau * (1 + 1e-6)


@given(gradients())
def test_normalize_gives_every_tensor_norm_one(gradient):
    found, _ = applied(Normalize(), gradient)
    for part, source in zip(np.split(found, BOUNDARIES), np.split(gradient, BOUNDARIES), strict=True):
        if source.any():
            assert norm(part) == pytest.approx(1.0, rel=1e-6)
            largest = np.argmax(np.abs(source))
            assert np.sign(part[largest]) == np.sign(source[largest])
        else:
            np.testing.assert_array_equal(part, source)


@given(st.integers(0, 2**32 - 1))
def test_normalize_divides_as_torch_does(seed):
    gradient = np.random.default_rng(seed).standard_normal(LAYOUT.dimension).astype(np.float32)
    found, _ = applied(Normalize(), gradient)
    parts = [p / np.float32(np.linalg.norm(p.astype(np.float64))) for p in np.split(gradient, BOUNDARIES)]
    np.testing.assert_array_equal(found, np.concatenate(parts))


@given(gradients())
def test_normalize_the_whole(gradient):
    found, _ = applied(Normalize(scope="global"), gradient)
    assert norm(found) == pytest.approx(float(gradient.any()), rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "stage",
    [
        ClipNorm(1.0),
        ClipNorm(1.0, scope="layer"),
        ClipValue(0.1),
        ClipSmooth(1.0),
        ClipAdaptive(),
        Normalize(),
        Normalize(scope="global"),
    ],
)
def test_divergence_stays_visible(stage, bad, dtype):
    gradient = np.ones(LAYOUT.dimension, dtype)
    gradient[5] = bad
    stage.apply(gradient, step(stage.init(LAYOUT, np.dtype(dtype))))
    assert not np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_norm_is_nan_or_infinite_only_when_an_entry_is(dtype):
    assert np.isnan(norm(np.array([np.nan], dtype)))
    assert np.isnan(norm(np.array([0, np.nan], dtype)))
    assert norm(np.array([0, -np.inf], dtype)) == np.inf
    assert norm(np.zeros(3, dtype)) == 0.0
    assert norm(np.full(4, np.finfo(dtype).max / 4, dtype)) == pytest.approx(float(np.finfo(dtype).max) / 2)


@pytest.mark.parametrize("size", [1e200, 1e-200, 5e-324])
def test_squares_outside_of_float64_do_no_harm(size):
    gradient = np.full(4, size)
    assert norm(gradient) == pytest.approx(2 * size)
    Normalize(scope="global").apply(gradient, Step(0, 0, 0, Layout.flat(4)))
    np.testing.assert_allclose(gradient, 0.5)


@pytest.mark.parametrize("size", [1e-45, 3e38])
def test_normalize_float32_at_the_ends_of_its_range(size):
    gradient = np.full(4, size, np.float32)
    Normalize(scope="global").apply(gradient, Step(0, 0, 0, Layout.flat(4)))
    np.testing.assert_allclose(gradient, 0.5, rtol=1e-6)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12), st.integers(1, 5), st.floats(0, 1))
def test_adaptive_clip_follows_the_quantile_of_its_window(lengths, window, quantile):
    stage = ClipAdaptive(quantile, window)
    memory = stage.init(LAYOUT, np.dtype(float))
    for k, length in enumerate(lengths):
        gradient = np.zeros(LAYOUT.dimension)
        gradient[2] = length
        active, tau = stage.apply(gradient, step(memory))
        assert tau == pytest.approx(np.quantile(lengths[max(0, k + 1 - window) : k + 1], quantile))
        assert gradient[2] == pytest.approx(min(length, tau))
        assert active == (length > tau)


def test_adaptive_clip_forgets_what_is_not_finite():
    stage = ClipAdaptive(quantile=0.5, window=3)
    memory = stage.init(LAYOUT, np.dtype(float))
    for value in (1.0, np.nan, np.inf, 2.0):
        _, tau = stage.apply(np.array([value]), step(memory))
    assert tau == 1.5


@pytest.mark.parametrize(
    "cls, parameters",
    [
        (ClipNorm, {"tau": 0}),
        (ClipNorm, {"tau": 1, "scope": "tensor"}),
        (ClipValue, {"tau": -1}),
        (ClipSmooth, {"tau": float("nan")}),
        (ClipAdaptive, {"quantile": 1.5}),
        (ClipAdaptive, {"window": 0}),
        (Normalize, {"scope": "layer"}),
    ],
)
def test_bad_values_are_refused_in_one_line(cls, parameters):
    with pytest.raises(UserError, match=r"^bias\[0\]\.[^\n]*$"):
        registry.construct(cls, "bias[0]", parameters)


DP = {
    "name": "dp", "iterations": 3, "step_size": 0.3, "problem": {"kind": "mlp", "hidden": [8]},
    "data": {"name": "digits", "nodes": 3}, "gradient": {"batch": 32}, "evaluate": {"every": 0},
    "bias": [{"kind": "clip_per_sample", "tau": 0.5}, {"kind": "gaussian_noise", "sigma": 0.01}],
}  # fmt: skip


def test_samples_are_clipped_from_a_config(tmp_path):
    experiment.run(DP, output=tmp_path / "dp.h5")
    metrics = read.load(tmp_path / "dp.h5").metrics
    assert (metrics["train_samples_clipped"] > 0.5).all()
    assert (metrics["gradient_norm"] < 0.5 + 0.02 * np.sqrt(610)).all()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"bias": DP["bias"][::-1]}, r"bias\[1\]: clip_per_sample must be the first stage"),
        ({"downlink": DP["bias"][:1]}, r"downlink\[0\]: clip_per_sample"),
        ({"problem": {"kind": "maml_sines"}, "data": None, "nodes": 3}, "cannot clip single samples"),
    ],
)
def test_samples_that_cannot_be_clipped_are_an_error(change, words):
    with pytest.raises(UserError, match=words):
        preparation.validate(DP | change)


@pytest.mark.parametrize("size", [1, 3, 4, 401_408])
def test_normalize_with_published_sums_adds_squares_in_four_float32_lanes(size):
    gradient = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    whole = size - size % 4
    lanes = [np.cumsum(np.square(gradient[lane:whole:4]), dtype=np.float32)[-1:].sum() for lane in range(4)]
    total = np.float32(0)
    for part in [*lanes, *np.square(gradient[whole:])]:
        total = np.float32(total + np.float32(part))
    found, exact = gradient.copy(), gradient.copy()
    step = Step(0, 0, 0, Layout.flat(size))
    Normalize(sums="published").apply(found, step)
    np.testing.assert_array_equal(found, gradient / np.sqrt(total))
    Normalize().apply(exact, step)
    off = abs(found[0] / exact[0] - 1)
    assert off < 1e-6 if size < 1000 else 1e-6 < off < 1e-4  # it matters where the published runs have large tensors
