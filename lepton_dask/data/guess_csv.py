"""How a text table seems to be written, from its first bytes: encoding, separator, header."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lepton_dask.data.read import Read

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LOOKED_AT_RECORDS = 200

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class CsvGuess:
    """The keys of a `read` step that differ from its defaults, and the reason for each."""

    encoding: str = "utf-8"
    separator: str = ","
    header: bool = True
    skip_rows: int = 0
    columns: tuple[str, ...] | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    def applied(self, read: Read) -> Read:
        """`read` with what was guessed."""
        return read.model_copy(
            update={
                "encoding": self.encoding,
                "separator": self.separator,
                "header": self.header,
                "skip_rows": self.skip_rows,
                "columns": self.columns,
            }
        )


def guess_csv(head: bytes) -> CsvGuess:
    """The guess from a file's first bytes, of which the last record may be cut.

    The separator is the one that gives most records the same number of fields, more than one. A
    first record is no header where most of its fields are numbers, empty, or values that their
    column has again; one that has other fields than all records behind it is no record at all.
    """
    reasons: dict[str, str] = {}
    encoding = _encoding(head)
    if encoding != "utf-8":
        reasons["encoding"] = "the text is not UTF-8"
    text = codecs.getincrementaldecoder(encoding)().decode(head).removeprefix("\ufeff")
    separator = max(SEPARATORS, key=lambda mark: _agreement(_records(text, mark)))
    if separator != ",":
        reasons["separator"] = f"fields stand between {SEPARATORS[separator]}s"
    records = _records(text, separator)
    if len(records) < 2:
        return CsvGuess(encoding, separator, reasons=reasons)
    first, others = records[0], records[1:]
    width = Counter(map(len, others)).most_common(1)[0][0]
    header, skip_rows, columns = True, 0, None
    if len(first) == width - 1 and not any(map(_NUMBER.fullmatch, first)):
        # As R writes a table: a name for each column, none for the rows' own names.
        header, skip_rows, columns = False, 1, (_unused("row", first), *first)
        reasons["header"] = "the first column has no name; it is called here as R would"
    elif len(first) != width:
        header, skip_rows = False, 1
        reasons["header"] = f"the first line has {len(first)} fields and the others {width}"
    elif _is_data(first, others):
        header = False
        reasons["header"] = "the first line holds values, not names"
    return CsvGuess(encoding, separator, header, skip_rows, columns, reasons)


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _records(text: str, separator: str) -> list[list[str]]:
    """The first records that are no blank lines; without the last, which may be cut."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    records: list[list[str]] = []
    try:
        for record in lines:
            if record:
                records.append(record)
            if len(records) > LOOKED_AT_RECORDS:
                break
    except csv.Error:  # a field larger than csv's limit: this is no separator of the file
        return []
    return records[:-1] if len(records) > 2 else records


def _agreement(records: Sequence[Sequence[str]]) -> tuple[float, int]:
    """The share of the records that have the most frequent width, and that width; a width of one
    says nothing."""
    if not records:
        return 0.0, 0
    width, count = Counter(map(len, records)).most_common(1)[0]
    return (count / len(records), width) if width > 1 else (0.0, 0)


def _is_data(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    like_data = 0
    for i, field_ in enumerate(first):
        below = [record[i] for record in others if i < len(record)]
        is_number = _NUMBER.fullmatch(field_) is not None
        like_data += not field_.strip() or is_number or field_ in below
    return 2 * like_data > len(first)


def _unused(name: str, names: Sequence[str]) -> str:
    while name in names:
        name += "_"
    return name
