"""Hashes that are the same on every machine, in every version, for every chunking."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lepton_dask.data.mixing import GOLDEN, Hashes, mixed

_MISSING_TEXT = b"\xff missing"  # not UTF-8, so that no text is equal to it


def key_of(*parts: object) -> np.uint64:
    """64 bits of BLAKE2b over the parts' texts, each preceded by its length."""
    digest = blake2b(digest_size=8)
    for part in parts:
        text = str(part).encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return np.uint64(int.from_bytes(digest.digest(), "little"))


def row_hashes(key: np.uint64, row_numbers: NDArray[np.int64]) -> Hashes:
    """Output number `row_number` of the SplitMix64 generator that is seeded with the key."""
    return mixed(key + (row_numbers.astype(np.uint64) + np.uint64(1)) * GOLDEN)


def value_hashes(key: np.uint64, column: pa.ChunkedArray) -> Hashes:
    """A hash of each value's canonical text; missing values have one of their own."""
    codes, texts = distinct_texts(column)
    seed = int(key).to_bytes(8, "little")
    hashes = [
        blake2b(_MISSING_TEXT if text is None else text.encode(), digest_size=8, key=seed).digest()
        for text in texts
    ]
    return np.frombuffer(b"".join(hashes), "<u8").astype(np.uint64)[codes]


def distinct_texts(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str | None]]:
    """Codes into the canonical texts of a column's distinct values, missing included.

    A number without a fraction has an integer's text, so that the type that a format gives a
    column does not matter.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()  # it may hold texts that no row has, and has no missing
    encoded = array.dictionary_encode(null_encoding="encode")
    values = encoded.dictionary
    if pa.types.is_floating(values.type):
        texts = [_number_text(value) for value in values.to_pylist()]
    else:
        texts = values.cast(pa.string()).to_pylist()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), texts


def row_keys(table: pa.Table) -> Hashes:
    """(N, 2) keys of 128 bits, equal for rows with equal values; missing equals missing.

    Two different rows of a billion have equal keys with probability 1e-21.
    """
    keys = np.zeros((table.num_rows, 2), np.uint64)
    for name, column in zip(table.column_names, table.columns, strict=True):
        for half in range(2):
            salt = key_of("duplicates", half, name)
            keys[:, half] = mixed(keys[:, half] * GOLDEN + _column_hashes(salt, column))
    return keys


def _column_hashes(salt: np.uint64, column: pa.ChunkedArray) -> Hashes:
    if pa.types.is_string(column.type):
        return value_hashes(salt, column)
    if pa.types.is_floating(column.type):
        numbers = pc.fill_null(column, 0.0).to_numpy() + 0.0  # -0.0 becomes 0.0
        bits = numbers.view(np.uint64)
    elif pa.types.is_boolean(column.type):
        bits = pc.fill_null(column, False).to_numpy().astype(np.uint64)
    else:
        integer = pa.int32() if pa.types.is_date32(column.type) else pa.int64()
        bits = pc.fill_null(column.cast(integer), 0).to_numpy().astype(np.int64).view(np.uint64)
    missing = column.is_null().to_numpy()
    return np.where(missing, mixed(np.array([salt]) ^ GOLDEN), mixed(bits ^ salt))


def _number_text(value: float | None) -> str | None:
    if value is None:
        return None
    return str(int(value)) if value.is_integer() else repr(value)
