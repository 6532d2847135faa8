"""Four rows of a matrix at a time, in vectors of four columns.

LLVM's own vectorizer takes eight or sixteen columns at a time and the rest one by one: at 20 and 50
columns the rest is what costs. Here only what is left of a multiple of four goes one by one. Rows
of float32 are widened as they are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

ROWS = 4
WIDTH = 4
"""Columns in a vector. More would suit wider registers, and leave more columns to the rest."""

DOUBLE = ir.DoubleType()
VECTOR = ir.VectorType(DOUBLE, WIDTH)


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """numba's, with a type. Compiled functions call the result without the first argument."""
    return cast("Callable[..., Any]", extending.intrinsic(function))


@intrinsic
def products(typing: Any, dense: Any, rows: Any, theta: Any) -> Any:  # noqa: ARG001 - numba's shape
    """sum_j dense[rows[k], j] theta[j] for the four rows k, as a tuple; P is dense's width."""
    signature = types.UniTuple(types.float64, ROWS)(dense, rows, theta)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix = _Matrix(context, builder, signature.args[0], arguments[0])
        pointers = matrix.rows(cgutils.unpack_tuple(builder, arguments[1]))
        factor = _data(context, builder, signature.args[2], arguments[2])
        # Two sums a row: of the vectors, and of the columns that are left.
        sums = [
            (_variable(builder, VECTOR([0.0] * WIDTH)), _variable(builder, DOUBLE(0.0)))
            for _ in range(ROWS)
        ]
        for columns in matrix.each():
            with columns as (j, kind):
                t = _load(builder, factor, j, kind)
                for pointer, both in zip(pointers, sums, strict=True):
                    to = both[kind is DOUBLE]
                    x = matrix.load(pointer, j, kind)
                    builder.store(_multiply_add(builder, x, t, builder.load(to)), to)
        totals = _across(builder, [builder.load(vector) for vector, _ in sums])
        whole = [
            builder.fadd(total, builder.load(left))
            for total, (_, left) in zip(totals, sums, strict=True)
        ]
        return context.make_tuple(builder, signature.return_type, whole)

    return signature, generate


@intrinsic
def add_multiples(typing: Any, total: Any, dense: Any, rows: Any, factors: Any) -> Any:  # noqa: ARG001
    """total[j] += sum_k factors[k] dense[rows[k], j] over the four rows k; `total` is no part of
    `dense`."""
    signature = types.void(total, dense, rows, factors)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums = _data(context, builder, signature.args[0], arguments[0])
        matrix = _Matrix(context, builder, signature.args[1], arguments[1])
        pointers = matrix.rows(cgutils.unpack_tuple(builder, arguments[2]))
        factors = cgutils.unpack_tuple(builder, arguments[3])
        vectors = [_repeated(builder, each) for each in factors]
        for columns in matrix.each():
            with columns as (j, kind):
                by = factors if kind is DOUBLE else vectors
                # `total` comes last: the next rows wait for it.
                s = builder.fmul(matrix.load(pointers[0], j, kind), by[0])
                for pointer, factor in zip(pointers[1:], by[1:], strict=True):
                    s = _multiply_add(builder, matrix.load(pointer, j, kind), factor, s)
                s = builder.fadd(_load(builder, sums, j, kind), s)
                place = builder.bitcast(builder.gep(sums, [j]), kind.as_pointer())
                builder.store(s, place, align=8)
        return context.get_dummy_value()

    return signature, generate


class _Matrix:
    """A C-ordered matrix of float64 or float32 in code that is being generated."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder = builder
        self._element = context.get_data_type(kind.dtype)
        self._data = array.data
        self._stride = cgutils.unpack_tuple(builder, array.strides)[0]
        self._width = cgutils.unpack_tuple(builder, array.shape)[1]
        self._even = builder.and_(self._width, ir.Constant(self._width.type, -WIDTH))

    def rows(self, numbers: Sequence[Any]) -> list[Any]:
        """Pointers to the rows."""
        return [
            cgutils.pointer_add(self._builder, self._data, self._builder.mul(number, self._stride))
            for number in numbers
        ]

    def load(self, row: Any, j: Any, kind: Any) -> Any:
        """The column j of a row, or a vector of columns from j on, as float64."""
        if isinstance(self._element, ir.DoubleType):
            return _load(self._builder, row, j, kind)
        narrow = ir.VectorType(self._element, WIDTH) if kind is VECTOR else self._element
        place = self._builder.bitcast(self._builder.gep(row, [j]), narrow.as_pointer())
        return self._builder.fpext(self._builder.load(place, align=4), kind)

    def each(self) -> Iterator[AbstractContextManager[tuple[Any, Any]]]:
        """Code for the columns: a loop over the whole vectors, then one branch for each column that
        may be left. As `with` targets: the first column, and the type of what is to be loaded."""
        yield self._vectors()
        for number in range(WIDTH - 1):
            yield self._left(number)

    @contextmanager
    def _vectors(self) -> Iterator[tuple[Any, Any]]:
        zero, step = (ir.Constant(self._width.type, number) for number in (0, WIDTH))
        with cgutils.for_range_slice(self._builder, zero, self._even, step, inc=True) as (j, _):
            yield j, VECTOR

    @contextmanager
    def _left(self, number: int) -> Iterator[tuple[Any, Any]]:
        j = self._builder.add(self._even, ir.Constant(self._width.type, number))
        with self._builder.if_then(self._builder.icmp_signed("<", j, self._width)):
            yield j, DOUBLE


def _variable(builder: Any, value: Any) -> Any:
    """Where a value is kept while the code runs, this one at first."""
    place = cgutils.alloca_once(builder, value.type)
    builder.store(value, place)
    return place


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value).data


def _load(builder: Any, data: Any, j: Any, kind: Any) -> Any:
    place = builder.bitcast(builder.gep(data, [j]), kind.as_pointer())
    return builder.load(place, align=8)


def _multiply_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z, fused where the processor can."""
    kind = ir.FunctionType(x.type, [x.type] * 3)
    name = "llvm.fmuladd.v4f64" if x.type == VECTOR else "llvm.fmuladd.f64"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [x, y, z])


def _repeated(builder: Any, value: Any) -> Any:
    vector = VECTOR(ir.Undefined)
    for place in range(WIDTH):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), place))
    return vector


def _across(builder: Any, vectors: Sequence[Any]) -> list[Any]:
    """The sum of the four entries of each of four vectors."""

    def shuffled(a: Any, b: Any, places: Sequence[int]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), list(places))
        return builder.shuffle_vector(a, b, mask)

    def pairs(a: Any, b: Any) -> Any:
        return builder.fadd(shuffled(a, b, (0, 4, 2, 6)), shuffled(a, b, (1, 5, 3, 7)))

    low, high = pairs(vectors[0], vectors[1]), pairs(vectors[2], vectors[3])
    total = builder.fadd(shuffled(low, high, (0, 1, 4, 5)), shuffled(low, high, (2, 3, 6, 7)))
    places = (ir.Constant(ir.IntType(32), place) for place in range(ROWS))
    return [builder.extract_element(total, place) for place in places]
