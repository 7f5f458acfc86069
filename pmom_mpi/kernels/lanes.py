"""Eight entries at a time: what the loop vectoriser does not find, as LLVM vector operations that any processor has.

Nothing here checks bounds: its callers do.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 8
_BYTE, _INT32 = ir.IntType(8), ir.IntType(32)


def _positions() -> np.ndarray:
    """uint8, shape (256, 8): row m lists the set bits of m, lowest first; the rest of the row is never read."""
    table = np.zeros((256, LANES), np.uint8)
    for mask in range(256):
        found = [bit for bit in range(LANES) if mask >> bit & 1]
        table[mask, : len(found)] = found
    return table


POSITIONS = _positions()


def _lanes(context, builder, kind, array, start, element):
    """A pointer to eight elements of an array from ``start`` on."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [start]), ir.VectorType(element, LANES).as_pointer())


def _splat(builder, value):
    vector = ir.VectorType(value.type, LANES)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_INT32, 0))
    zeros = ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def _is_vector(kind, *dtypes):
    return isinstance(kind, types.Array) and kind.ndim == 1 and kind.layout == "C" and kind.dtype in dtypes


@intrinsic
def append8(typingctx, bits, start, absolute, below, table, indices, count):
    """Append to ``indices[:count]`` the positions p in start ... start + 7 with ``bits[p] & absolute > below``.

    Always writes eight indices, of which those found come first; compares as signed integers.

    Parameters
    ----------
    bits : ndarray of uint32 or uint64
    start : int64
    absolute, below : of the type of ``bits``
    table : ndarray of uint8, `POSITIONS` flattened
    indices : ndarray of uint32
        With room for eight from ``count`` on.
    count : int64

    Returns
    -------
    int64
        The new count.
    """
    if not (_is_vector(bits, types.uint32, types.uint64) and _is_vector(indices, types.uint32)):
        return None
    signature = types.int64(bits, types.int64, bits.dtype, bits.dtype, table, indices, types.int64)

    def codegen(context, builder, signature, args):
        bits, start, absolute, below, table, indices, count = args
        source = _lanes(context, builder, signature.args[0], bits, start, below.type)
        loaded = builder.load(source, align=below.type.width // 8)
        magnitudes = builder.and_(loaded, _splat(builder, absolute))
        mask = builder.bitcast(builder.icmp_signed(">", magnitudes, _splat(builder, below)), _BYTE)
        word = builder.zext(mask, start.type)
        row = builder.mul(word, ir.Constant(start.type, LANES))
        lanes = builder.load(_lanes(context, builder, signature.args[4], table, row, _BYTE), align=LANES)
        wide = builder.zext(lanes, ir.VectorType(_INT32, LANES))
        found = builder.add(wide, _splat(builder, builder.trunc(start, _INT32)))
        builder.store(found, _lanes(context, builder, signature.args[5], indices, count, _INT32), align=4)
        return builder.add(count, builder.ctpop(word))

    return signature, codegen
