"""Words and bits: what numba has no name for, as LLVM intrinsics.

``load64`` and ``store64`` touch eight bytes at any byte offset of a uint8 array, aligned or not, in the machine's order
(little-endian on every machine MPI meets today; `pmom_mpi.wire.codec` refuses others). They check no bounds: their
callers do.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

WORD = ir.IntType(64)


@intrinsic
def trailing_zeros(typingctx, word):
    """How many zeros stand below the lowest set bit of a non-zero 64-bit word."""
    if not isinstance(word, types.Integer) or word.bitwidth != 64:
        return None

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(word), codegen


@intrinsic
def count_ones(typingctx, word):
    """How many bits of a 64-bit word are set."""
    if not isinstance(word, types.Integer) or word.bitwidth != 64:
        return None

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(word), codegen


@intrinsic
def as_float32(typingctx, bits):
    """The float32 with these 32 bits."""
    if not isinstance(bits, types.Integer) or bits.bitwidth != 32:
        return None

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(bits), codegen


def _word_pointer(context, builder, signature, args):
    array = context.make_array(signature.args[0])(context, builder, args[0])
    offset = context.cast(builder, args[1], signature.args[1], types.intp)
    return builder.bitcast(cgutils.pointer_add(builder, array.data, offset), WORD.as_pointer())


def _is_bytes(array):
    return isinstance(array, types.Array) and array.dtype == types.uint8 and array.ndim == 1 and array.layout == "C"


@intrinsic
def load64(typingctx, array, offset):
    """The uint64 in ``array[offset:offset + 8]``."""
    if not _is_bytes(array) or not isinstance(offset, types.Integer):
        return None

    def codegen(context, builder, signature, args):
        return builder.load(_word_pointer(context, builder, signature, args), align=1)

    return types.uint64(array, offset), codegen


@intrinsic
def store64(typingctx, array, offset, word):
    """Write a uint64 to ``array[offset:offset + 8]``."""
    if not _is_bytes(array) or not array.mutable or not isinstance(offset, types.Integer) or word != types.uint64:
        return None

    def codegen(context, builder, signature, args):
        builder.store(args[2], _word_pointer(context, builder, signature, args), align=1)

    return types.void(array, offset, word), codegen


@njit(cache=True)
def store_tail(array, offset, word, size):
    """Write the ``size`` lowest bytes of a word, where a whole one would not fit."""
    for byte in range(size):
        array[offset + byte] = np.uint8((word >> np.uint64(8 * byte)) & np.uint64(255))
