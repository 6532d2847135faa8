"""Instructions that numba has no name for, and how the scan of CSV text is compiled with them.

LLVM makes compares of vectors of whatever instructions the processor has. Each function tells numba
its types, and how its code is generated, from the types of its arguments: those are all that it is
called with. Nothing is checked: what is loaded has to lie within the array.
"""

# ruff: noqa: ARG001 - numba reads the arguments' names.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from lepton_dask.data.formats.scan_sources import SCAN

F = TypeVar("F", bound=Callable[..., Any])

VECTOR_BYTES = 32

_NEWLINE, _RETURN, _QUOTE, _NUL = (ord(each) for each in '\n\r"\0')

instruction = cast("Callable[[Callable[..., Any]], Callable[..., Any]]", intrinsic)


def compiled(function: F) -> F:
    """Compiled on its first call, or read from the disk."""
    return SCAN.compiled(function)


def inlined(function: F) -> F:
    """Compiled as a part of what calls it."""
    return cast("F", njit(forceinline=True, error_model="numpy")(function))


_VECTOR = ir.VectorType(ir.IntType(8), VECTOR_BYTES)
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)
_FIRST_LANE = ir.Constant(ir.VectorType(_INT32, VECTOR_BYTES), [0] * VECTOR_BYTES)
_UNDEFINED = ir.Constant(_VECTOR, ir.Undefined)


def _loaded(context: Any, builder: Any, array_type: Any, array: Any, at: Any, type_: Any) -> Any:
    """The bytes array[at:] as a value of the LLVM type, wherever they lie."""
    data = context.make_array(array_type)(context, builder, array).data
    pointer = builder.bitcast(builder.gep(data, [at]), type_.as_pointer())
    value = builder.load(pointer)
    value.align = 1
    return value


def _in_every_lane(builder: Any, byte: Any) -> Any:
    first = builder.insert_element(_UNDEFINED, byte, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, _UNDEFINED, _FIRST_LANE)


def _as_bits(builder: Any, lanes: Any) -> Any:
    return builder.zext(builder.bitcast(lanes, _INT32), _INT64)


@instruction
def special_bytes(_: Any, text: Any, at: Any, separator: Any) -> Any:
    """Bit i is set where text[at + i] ends a field or is none of plain text: the separator, a
    newline, a carriage return, a quote, NUL."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        text, at, separator = arguments
        vector = _loaded(context, builder, signature.args[0], text, at, _VECTOR)
        found = builder.icmp_unsigned("==", vector, _in_every_lane(builder, separator))
        for byte in (_NEWLINE, _RETURN, _QUOTE, _NUL):
            other = ir.Constant(_VECTOR, [byte] * VECTOR_BYTES)
            found = builder.or_(found, builder.icmp_unsigned("==", vector, other))
        return _as_bits(builder, found)

    return types.int64(text, types.int64, types.uint8), generate


@instruction
def differing_bytes(_: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Bit k is set where a[i + k] != b[j + k]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, i, b, j = arguments
        left = _loaded(context, builder, signature.args[0], a, i, _VECTOR)
        right = _loaded(context, builder, signature.args[2], b, j, _VECTOR)
        return _as_bits(builder, builder.icmp_unsigned("!=", left, right))

    return types.int64(a, types.int64, b, types.int64), generate


@instruction
def word(_: Any, text: Any, at: Any) -> Any:
    """The 8 bytes text[at:] as one integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        text, at = arguments
        return _loaded(context, builder, signature.args[0], text, at, _INT64)

    return types.int64(text, types.int64), generate


@instruction
def lowest_bit(_: Any, bits: Any) -> Any:
    """The position of the lowest bit that is set; one has to be."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate
