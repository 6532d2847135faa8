"""A small CSV table as nodes, so that its mistakes have a line and a column as those in YAML do.

For tables that people write by hand. Rows of data are read by `lepton_dask.data`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lepton_dask.config.nodes import Entry, MappingNode, ScalarNode, SequenceNode, Source
from lepton_dask.config.scalars import RefusedScalar, read_scalar
from lepton_dask.errors import Mistake
from lepton_dask.suggest import counted, nearest

SEPARATORS = (",", ";", "\t")

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

Row = list[ScalarNode]


@dataclass(frozen=True)
class CsvTable:
    """A sequence of mappings, a row each, and what is wrong without hiding the rest."""

    rows: SequenceNode
    mistakes: tuple[Mistake, ...]


def read_csv_table(source: Source, columns: Sequence[str], texts: Sequence[str]) -> CsvTable:
    """The rows below a header that names each of `columns`, in any order.

    The separator is the one of SEPARATORS that the header has most of. Values are read as plain
    scalars of YAML, those of the columns `texts` as text; what is between quotes is no more text
    than what is not. Blank lines are skipped. A misspelt column is taken for the one that it is
    like, so that its values are checked too.
    """
    start = source.mark_at(0)
    control = _CONTROL.search(source.text)
    if control is not None:
        found = "a character that cannot stand in a text file"
        place = source.mark_at(control.start()).place
        return CsvTable(SequenceNode((), start), (Mistake((), found, "remove it", place=place),))
    separator = max(SEPARATORS, key=source.text.lstrip().partition("\n")[0].count)
    mistakes: list[Mistake] = []
    rows = _rows(source, separator, mistakes)
    header = next(rows, None)
    if header is None:
        fix = f"start with '{','.join(columns)}'"
        mistakes.append(Mistake((), "the file is empty", fix, place=start.place))
        return CsvTable(SequenceNode((), start), tuple(mistakes))
    names = _names(header, columns, mistakes)
    if set(columns) - set(names):
        return CsvTable(SequenceNode((), start), tuple(mistakes))
    items = []
    for number, row in enumerate(rows):
        if len(row) != len(names):
            found = f"{counted(len(row), 'field')}, but the header has {len(names)}"
            mistakes.append(Mistake((), found, "give each column a value", place=row[0].mark.place))
            continue
        entries = {}
        for name, field in zip(names, row, strict=True):
            if name in columns:
                value = _value(field, name, number, texts, mistakes)
                entries[name] = Entry(field.mark, value)
        items.append(MappingNode(entries, row[0].mark))
    return CsvTable(SequenceNode(tuple(items), start), tuple(mistakes))


def _names(header: Row, columns: Sequence[str], mistakes: list[Mistake]) -> list[str]:
    """The header's columns, those that are misspelt under their right names."""
    written = [field.written for field in header]
    near = {name: nearest(name, columns) for name in written if name not in columns}
    if near.keys() == set(written) and not any(near.values()):
        fix = f"start with '{','.join(columns)}'"
        found = "the first line names none of the columns"
        mistakes.append(Mistake((), found, fix, place=header[0].mark.place))
        return written
    names: list[str] = []
    for field in header:
        name = field.written
        if name in near:
            guess = near[name]
            fix = f"did you mean '{guess}'? " if guess else ""
            fix += f"the columns are {', '.join(columns)}"
            mistakes.append(Mistake((name,), "unknown column", fix, place=field.mark.place))
            if guess is not None and guess not in written:
                name = guess
        elif name in names:
            mistakes.append(Mistake((name,), "there twice", "keep one", place=field.mark.place))
        names.append(name)
    for name in columns:
        if name not in names:
            fix = "add it to the header"
            mistakes.append(Mistake((name,), "missing column", fix, place=header[0].mark.place))
    return names


def _value(
    field: ScalarNode, name: str, number: int, texts: Sequence[str], mistakes: list[Mistake]
) -> ScalarNode:
    if name in texts and field.written:
        return field
    try:
        return ScalarNode(read_scalar(field.written), field.mark, field.written)
    except RefusedScalar as error:
        path = (number, name)
        mistakes.append(Mistake(path, error.found, error.fix, place=field.mark.place))
        return ScalarNode(field.written, field.mark, field.written, broken=True)


def _rows(source: Source, separator: str, mistakes: list[Mistake]) -> Iterator[Row]:
    """Fields as RFC 4180 has them, with blanks around them left out, and where each starts."""
    text = source.text
    field = re.compile(
        rf'(?P<blank> *)(?:"(?P<quoted>[^"]*+(?:""[^"]*+)*+)" *(?={separator}|\r|\n|\Z)'
        rf"|(?P<plain>[^{separator}\r\n]*))(?P<end>{separator}|\r\n|\r|\n|\Z)"
    )
    row: Row = []
    position = 0
    while position < len(text):
        found = field.match(text, position)
        assert found is not None  # the plain alternative takes any text up to an end
        mark = source.mark_at(found.end("blank"))
        quoted, plain = found["quoted"], found["plain"]
        if quoted is None and plain.startswith('"'):
            fix = 'put the whole field in quotes, and write "" for a quote in it'
            mistakes.append(Mistake((), "quotes that do not match", fix, place=mark.place))
        value = plain.strip() if quoted is None else quoted.replace('""', '"')
        row.append(ScalarNode(value, mark, value))
        position = found.end()
        if found["end"] == separator and position < len(text):
            continue
        if found["end"] == separator:
            end = source.mark_at(position)
            row.append(ScalarNode("", end, ""))
        if len(row) > 1 or row[0].written:
            yield row
        row = []
