"""The census files: kdd_census_income's training file eight times over, rows shuffled, as CSV.

731 MB in a folder under the system's temporary directory, made once and used again. The rows of the
copies differ in their order alone. There is no header; texts begin with a blank; " ?" is missing.
"""

from __future__ import annotations

import gzip
import os
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

COPIES = 8
COLUMNS = 42
NAMES = tuple(f"column_{number}" for number in range(1, COLUMNS + 1))
TARGET, POSITIVE = "column_42", " 50000+."
WEIGHT = "column_25"
"""The survey's instance weight: no feature."""

NUMBERS = tuple(f"column_{number}" for number in (1, 3, 4, 6, 17, 18, 19, 31, 37, 39, 40, 41))
"""Whatever parses as a number; the other 28 columns are categories."""

CATEGORIES = tuple(name for name in NAMES if name not in (*NUMBERS, TARGET, WEIGHT))
MISSING = " ?"

VARIABLE = "LEPTON_BENCHMARK_DATA"
SOURCES = (
    Path(__file__).parents[1] / "data",
    Path(__file__).parents[2] / "shared" / "data",
)


class NoCensus(SystemExit):
    """The data set is nowhere to be found."""


@dataclass(frozen=True)
class Census:
    """Training files and the official test file."""

    train: tuple[Path, ...]
    test: Path
    rows: int


def census(scale: float = 1.0) -> Census:
    """The files, made where they are not there yet; `scale` takes a share of each copy's rows.

    Raises NoCensus where the data set itself is not there.
    """
    source = _source()
    folder = Path(tempfile.gettempdir()) / "lepton-benchmarks" / f"census8-{scale:g}"
    train = tuple(folder / f"train_{copy}.csv" for copy in range(COPIES))
    test, count = folder / "test.csv", folder / "rows"
    if not count.exists():
        folder.mkdir(parents=True, exist_ok=True)
        lines = _lines(source / "census_income_train.csv.gz")
        kept = max(1000, round(scale * len(lines)))
        shuffling = random.Random(0)
        for path in train:
            shuffling.shuffle(lines)
            _write(path, b"".join(lines[:kept]))
        _write(test, b"".join(_lines(source / "census_income_test.csv.gz")))
        _write(count, str(kept * COPIES).encode())  # last: what is here is whole
    return Census(train, test, int(count.read_text()))


def _source() -> Path:
    named = os.environ.get(VARIABLE)
    for folder in (Path(named),) if named else SOURCES:
        if (folder / "kdd_census_income").is_dir():
            return folder / "kdd_census_income"
    raise NoCensus(
        f"there is no kdd_census_income here; set {VARIABLE} to the folder that holds its folder"
    )


def _lines(path: Path) -> list[bytes]:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    return [line if line.endswith(b"\n") else line + b"\n" for line in lines]


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)
