"""Columns whose names are no words of the language, written without their double quotes."""

from __future__ import annotations

from lepton_dask.data.expressions.errors import ExpressionError
from lepton_dask.data.types import Schema


def awkward_name(text: str, offset: int, schema: Schema) -> str | None:
    """The column whose name, not in quotes, stands around a character: `capital-gain`."""
    for name in sorted(schema, key=len, reverse=True):
        start = text.find(name)
        while start >= 0 and name:
            if start <= offset < start + len(name) and not name.isidentifier():
                return name
            start = text.find(name, start + 1)
    return None


def with_awkward_name(error: ExpressionError, text: str, schema: Schema) -> ExpressionError:
    """A text that does not parse, such as `Day Type = 1`: what to do, if a column's name is why."""
    name = awkward_name(text, error.offset, schema)
    if name is None:
        return error
    return ExpressionError(error.found, quoted(name), error.offset)


def quoted(name: str) -> str:
    """What to do about an awkward name."""
    escaped = name.replace('"', '""')
    return f'write "{escaped}" in double quotes'
