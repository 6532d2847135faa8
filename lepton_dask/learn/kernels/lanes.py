"""The levels of a row for eight outputs at a time: their coefficients lie side by side.

LLVM does not keep a loop's sums in a vector register where the number of outputs is not known
to it; here they are one vector of eight, from the first code column to the last.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from lepton_dask.learn.kernels.simd import intrinsic

LANES = 8
DOUBLE = ir.DoubleType()
VECTOR = ir.VectorType(DOUBLE, LANES)


@intrinsic
def add_levels(
    typing: Any,  # noqa: ARG001 - numba's shape
    z: Any,
    place: Any,
    codes: Any,
    offsets: Any,
    row: Any,
    T: Any,
    k: Any,
) -> Any:
    """z[place, k:k+8] += sum_q T[offsets[q] + codes[row, q], k:k+8]."""
    signature = types.void(z, place, codes, offsets, row, T, k)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = _Rows(context, builder, signature, arguments)
        to = rows.vector(0, arguments[1], arguments[6])
        total = cgutils.alloca_once(builder, VECTOR)
        builder.store(builder.load(to, align=8), total)
        with rows.levels() as level:
            t = builder.load(rows.vector(5, level, arguments[6]), align=8)
            builder.store(builder.fadd(builder.load(total), t), total)
        builder.store(builder.load(total), to, align=8)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def spread_levels(
    typing: Any,  # noqa: ARG001 - numba's shape
    z: Any,
    place: Any,
    codes: Any,
    offsets: Any,
    row: Any,
    T: Any,
    k: Any,
) -> Any:
    """T[offsets[q] + codes[row, q], k:k+8] += z[place, k:k+8] for every q."""
    signature = types.void(z, place, codes, offsets, row, T, k)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = _Rows(context, builder, signature, arguments)
        r = builder.load(rows.vector(0, arguments[1], arguments[6]), align=8)
        with rows.levels() as level:
            to = rows.vector(5, level, arguments[6])
            builder.store(builder.fadd(builder.load(to, align=8), r), to, align=8)
        return context.get_dummy_value()

    return signature, generate


class _Rows:
    """The arrays of both, in code that is being generated."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self._builder = builder
        self._arrays = {
            number: context.make_array(signature.args[number])(context, builder, arguments[number])
            for number in (0, 2, 3, 5)
        }
        self._row = arguments[4]

    def vector(self, number: int, row: Any, k: Any) -> Any:
        """Where an array's row has its entries from k on, as a vector."""
        array, builder = self._arrays[number], self._builder
        stride = cgutils.unpack_tuple(builder, array.strides)[0]
        start = cgutils.pointer_add(builder, array.data, builder.mul(row, stride))
        return builder.bitcast(builder.gep(start, [k]), VECTOR.as_pointer())

    def levels(self) -> Any:
        """A loop over the code columns; its target is the row of the level's coefficients."""
        return _Levels(self._builder, self._arrays[2], self._arrays[3], self._row)


class _Levels:
    def __init__(self, builder: Any, codes: Any, offsets: Any, row: Any) -> None:
        self._builder, self._codes, self._offsets, self._row = builder, codes, offsets, row

    def __enter__(self) -> Any:
        builder = self._builder
        count = cgutils.unpack_tuple(builder, self._codes.shape)[1]
        stride = cgutils.unpack_tuple(builder, self._codes.strides)[0]
        start = cgutils.pointer_add(builder, self._codes.data, builder.mul(self._row, stride))
        self._loop = cgutils.for_range(builder, count)
        loop = self._loop.__enter__()
        code = builder.load(builder.gep(start, [loop.index]))
        first = builder.load(builder.gep(self._offsets.data, [loop.index]))
        return builder.add(first, builder.sext(code, first.type))

    def __exit__(self, *error: Any) -> None:
        self._loop.__exit__(*error)
