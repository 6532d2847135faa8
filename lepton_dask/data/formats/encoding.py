"""Encodings of text files: where they may be cut, and their content as UTF-8."""

from __future__ import annotations

import codecs
import re

from lepton_dask.data.content import SourceFile
from lepton_dask.data.read import Read
from lepton_dask.errors import Mistake, UserError
from lepton_dask.suggest import did_you_mean

_ASCII_COMPATIBLE = re.compile(r"^(utf_8|ascii|latin_1|iso8859_\d+|cp125\d|koi8_[rtu])$")
_SNIFFED_BYTES = 1000
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def can_be_cut(read: Read, file: SourceFile) -> bool:
    """Whether a newline byte is always a newline, wherever the text is cut."""
    return bool(_ASCII_COMPATIBLE.match(_codec(read, file)))


def in_utf8(read: Read) -> Read:
    """The node for text that has been transcoded."""
    return read.model_copy(update={"encoding": "utf-8"})


def as_utf8(
    read: Read, file: SourceFile, content: bytes, offset: int, is_cut: bool = False
) -> bytes:
    """Checked or transcoded; `offset` is where the bytes stand in the file, and `is_cut` says that
    the last character may be cut.

    Raises UserError with the offset of the first byte that is not of the encoding.
    """
    codec = _codec(read, file)
    if codec == "utf_8" and offset == 0 and content[:2] in _UTF16_MARKS:
        raise file.mistake(
            "is UTF-16, not UTF-8", "add 'encoding: utf-16' to the read step", key="path"
        )
    start = content[:_SNIFFED_BYTES]
    # Half of the bytes of Latin text in UTF-16 are NUL; a damaged table has a few.
    if codec == "utf_8" and start.count(0) * 3 > len(start):
        raise file.mistake(
            f"is not UTF-8: {start.count(0)} of {len(start)} bytes are NUL",
            "if it is UTF-16, add 'encoding: utf-16-le' (or utf-16-be) to the read step",
        )
    if codec in ("utf_8", "ascii") and content.isascii():
        return content
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        text = decoder.decode(content, final=not is_cut)
    except UnicodeDecodeError as error:
        raise file.mistake(
            f"is not {read.encoding}: byte 0x{content[error.start]:02X} at offset "
            f"{offset + error.start:,} ({error.reason})",
            "if it is Latin-1, add 'encoding: latin-1' to the read step",
        ) from None
    if codec != "utf_8":
        return text.encode()
    return content if not is_cut else content[: len(content) - len(decoder.getstate()[0])]


def _codec(read: Read, file: SourceFile) -> str:
    try:
        return codecs.lookup(read.encoding).name.replace("-", "_")
    except LookupError:
        known = ("utf-8", "utf-16", "latin-1", "cp1252", "ascii", "shift_jis", "gb18030", "big5")
        raise UserError(
            [
                Mistake(
                    (*file.at, "encoding"),
                    f"unknown encoding '{read.encoding}'",
                    did_you_mean(read.encoding, known),
                )
            ]
        ) from None
