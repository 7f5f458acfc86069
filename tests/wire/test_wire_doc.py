"""docs/wire.md says enough: a decoder written from it reads every payload."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmom_mpi.bias.base import Step
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.wire.codec import HEADER, encode, max_bytes, sections, to_dense
from pmom_mpi.wire.indices import CODECS as SUPPORTS
from pmom_mpi.wire.message import Message
from pmom_mpi.wire.values import CODECS
from pmom_mpi.words.layout import Layout

from . import plain_decoder
from .messages import messages
from .test_codec import payload_of

DOC = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()


def assert_reads(message: Message, checksum: bool) -> None:
    payload = payload_of(message, checksum)
    expected = np.empty(message.dimension, np.float64 if message.values.code in (2, 12) else np.float32)
    to_dense(message, expected)
    found = np.array(plain_decoder.decode(payload.tobytes())).astype(expected.dtype)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=300)
@given(messages(largest=1500), st.booleans())
def test_the_documented_format_is_the_format(message, checksum):
    assert_reads(message, checksum)


@pytest.mark.parametrize("fraction, support", [(0.0005, "raw"), (0.05, "rice"), (0.6, "bitmap")])
def test_top_k_payloads_are_read_from_the_document(fraction, support):
    gradient = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    message, _ = TopK(fraction=fraction).compress(gradient, Step(0, 0, 0, Layout.flat(4000)))
    out = np.empty(max_bytes(4000, np.float32), np.uint8)
    payload = out[: encode(message, out)]
    assert sections(payload)["support"] == support
    found = np.array(plain_decoder.decode(payload.tobytes()), np.float32)
    assert np.array_equal(found[message.support.indices], gradient[message.support.indices])
    assert np.count_nonzero(found) == message.values.count == round(fraction * 4000)


def test_every_code_is_in_the_document():
    rows = {(int(code), name) for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", DOC, re.MULTILINE)}
    codecs = {(code, codec.__name__) for code, codec in CODECS.items() if code < 128}  # others are users'
    assert rows == codecs | {(code, codec.name) for code, codec in SUPPORTS.items()}
    assert f"{HEADER.size} bytes" in DOC
