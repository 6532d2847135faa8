"""The compiled scan of plain CSV text reads what Arrow reads, or nothing."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from distributed import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from reading_tables import columns_of, written

from lepton_dask.data.convert import FALSE_VALUES, TRUE_VALUES
from lepton_dask.data.formats import compiled_fields, plain_csv
from lepton_dask.data.formats.plain_csv import count_codes, read_plain, warm_up
from lepton_dask.data.read import Read
from lepton_dask.data.tables import plain_table
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.losses import chosen_loss
from lepton_dask.run.warming import warm_up_scan

MISSING = ("", " ?", "-99")


@pytest.fixture(autouse=True, scope="module")
def scan_alone() -> Any:
    """Compiled for these tests; for others it is as if it were not."""
    before, plain_csv._compiled = plain_csv._compiled, Event()
    warm_up()
    yield
    plain_csv._compiled = before


def by_arrow(records: bytes, names: list[str], types: dict[str, Any], wanted: list[str]) -> Any:
    return pyarrow.csv.read_csv(
        pa.BufferReader(records),
        pyarrow.csv.ReadOptions(use_threads=False, column_names=names),
        pyarrow.csv.ParseOptions(),
        pyarrow.csv.ConvertOptions(
            column_types=types,
            include_columns=wanted,
            null_values=list(MISSING),
            strings_can_be_null=True,
            true_values=list(TRUE_VALUES),
            false_values=list(FALSE_VALUES),
            auto_dict_encode=True,
        ),
    ).combine_chunks()


def scanned(
    text: str, columns: int, types: dict[str, Any] | None = None, wanted: list[str] | None = None
) -> tuple[pa.Table | None, pa.Table]:
    """The table by the scan, and by Arrow."""
    names = [f"c{i}" for i in range(columns)]
    wanted = names if wanted is None else wanted
    records = text.encode()
    expected = by_arrow(records, names, types or {}, wanted)
    found = read_plain(
        records,
        names,
        ",",
        MISSING,
        types or {},
        lambda sample: by_arrow(sample, names, types or {}, wanted),
    )
    return found, expected


def assert_read(text: str, columns: int, **options: Any) -> pa.Table:
    """The scan's table, which has to be Arrow's."""
    found, expected = scanned(text, columns, **options)
    assert found is not None
    found.validate(full=True)
    assert found.num_rows == expected.num_rows
    assert plain_table(found).equals(plain_table(expected))
    return found


numbers = ["0", "7", "-12", " 3", "4 ", "\t5", "007", "12.5", "-0.25", " 1.50 ", "0.1"]
texts = ["a", "b c", "é", "not in universe", *("x" * 31 + end for end in ("", "x", "xxy", "xxz"))]
plain = st.sampled_from([*numbers, *texts, *MISSING])
odd_numbers = ["+5", "1e3", ".5", "5.", "-0", "0x1F", "nan", "inf", "-", "1-2", "1 2", " "]
long_numbers = ["9" * 20, "123456789012345678", "0.1234567890123456789"]
others = ["true", "FALSE", "2020-01-31", "12:30", "2020-01-31 10:00:00", "null", "NULL", "N/A"]
odd = st.sampled_from([*odd_numbers, *long_numbers, *others])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(plain | odd, plain, plain | odd), min_size=1, max_size=12))
@example(rows=[("", "", ""), ("5", "1", "1"), ("5.5", "2", "a")])
def test_whatever_is_read_is_what_arrow_reads(rows: list[tuple[str, str, str]]) -> None:
    text = "".join(",".join(row) + "\n" for row in rows)
    found, expected = scanned(text, 3)
    if found is not None:
        found.validate(full=True)
        assert plain_table(found).equals(plain_table(expected))


@settings(max_examples=100, deadline=None)
@given(
    numbers=st.lists(
        st.integers(-(10**17), 10**17).map(str)
        | st.decimals(-(10**8), 10**8, places=6).map(lambda x: f"{x:f}"),
        min_size=1,
        max_size=20,
    )
)
def test_integers_and_decimals_are_read_to_the_last_bit(numbers: list[str]) -> None:
    if numbers[0].startswith("-0."):
        numbers = ["1", *numbers]
    assert_read("".join(f"{number},x\n" for number in numbers), 2)


def test_a_table_of_every_plain_kind_is_read() -> None:
    rng = np.random.default_rng(0)
    texts = [" Not in universe", "a", "", " ?", "w" * 40, "é", "longer than eight bytes"]
    rows = [
        f"{rng.integers(-500, 500)},{rng.normal():.4f},{texts[rng.integers(7)]},,{i % 300:x}z"
        for i in range(5000)
    ]
    table = assert_read("\n".join(rows) + "\n", 5)
    assert [str(type_) for type_ in table.schema.types] == [
        "int64",
        "double",
        "dictionary<values=string, indices=int8, ordered=0>",
        "null",
        "dictionary<values=string, indices=int32, ordered=0>",
    ]


def test_a_column_becomes_what_its_later_values_are() -> None:
    """Behind the sample: a first value, decimals among integers."""
    empty = ",1,\n" * plain_csv.SAMPLE_BYTES
    table = assert_read(empty + "5,1.5,late\n,2,later\n6,-3.25,\n", 3)
    assert [str(type_) for type_ in table.schema.types][:2] == ["int64", "double"]
    assert table["c2"].to_pylist()[-3:] == ["late", "later", None]


def test_blank_lines_are_none_and_texts_are_told_apart_by_their_middle() -> None:
    texts = [f"{'p' * 20}{i:03}{'s' * 20}" for i in range(200)]
    assert_read("\n\n" + "\n\n".join(f"{text},1" for text in texts * 3) + "\n\n", 2)


@pytest.mark.parametrize("at", [10, 20, 40, 50])
def test_texts_with_the_same_place_in_the_table_are_told_apart(at: int) -> None:
    """Of 64 bytes the table's places are found by 0 to 7, 28 to 35 and 56 to 63."""
    texts = [f"{'p' * at}{i:02}".ljust(64, "s") for i in range(40)]
    assert_read("".join(f"{text},1\n" for text in texts * 3), 2)


@settings(max_examples=300, deadline=None)
@given(digits=st.integers(10**15, 10**18 - 1), places=st.integers(1, 17))
def test_decimals_of_many_digits_are_read_as_arrow_does_or_not(digits: int, places: int) -> None:
    whole, decimals = divmod(digits, 10**places)
    found, expected = scanned(f"1.5,x\n{whole}.{decimals:0{places}},x\n", 2)
    assert found is None or plain_table(found).equals(plain_table(expected))


def test_columns_that_are_not_wanted_may_hold_anything_without_quotes() -> None:
    table = assert_read("2020-01-01,5,x\ntrue,6,y\n", 3, wanted=["c2", "c1"])
    assert table.column_names == ["c2", "c1"]


def test_declared_types_are_kept_or_left_to_arrow() -> None:
    assert_read("1,2\n3,4\n", 2, types={"c0": pa.float64(), "c1": pa.string()})
    early = "1,2\n" * plain_csv.SAMPLE_BYTES
    names = ["c0", "c1"]
    sample = by_arrow(b"1,2\n", names, {"c0": pa.int64()}, names)
    read = read_plain(
        (early + "1.5,2\n").encode(), names, ",", (), {"c0": pa.int64()}, lambda _: sample
    )
    assert read is None


not_plain = ['"3"', "3\r", "3\0", "true", "1e5", "2020-01-01", "-0", "-", "word", "9" * 19, "+3"]


@pytest.mark.parametrize("last", [*(f"{value},x" for value in not_plain), "3", "3,x,y"])
def test_what_is_not_plain_is_left_to_arrow(last: str) -> None:
    text = "1,x\n" * plain_csv.SAMPLE_BYTES + last + "\n"
    names = ["c0", "c1"]
    sample = by_arrow(b"1,x\n", names, {}, names)
    assert read_plain(text.encode(), names, ",", (), {}, lambda _: sample) is None


def test_there_is_room_for_records_that_get_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is made for as many rows as the first records promise; these hold a tenth of them."""
    counts = []
    count = compiled_fields.count_lines
    monkeypatch.setattr(
        compiled_fields, "count_lines", lambda text: counts.append(1) or count(text)
    )
    long = "".join(f"{number},{'long ' * 20}\n" for number in range(400))
    table = assert_read(long + "7,short\n" * 20_000, 2)
    assert table.num_rows == 20_400
    assert counts == [1]


@pytest.mark.parametrize("distinct", [1, 2, 127])
def test_codes_are_counted_as_numpy_counts_them(distinct: int) -> None:
    rng = np.random.default_rng(distinct)
    skewed = np.minimum(rng.geometric(0.3, 1003) - 1, distinct - 1).astype(np.int8)
    found = count_codes(pa.array(skewed).to_numpy(), distinct)
    np.testing.assert_array_equal(found, np.bincount(skewed, minlength=distinct))
    assert found.dtype == np.int64


def test_texts_of_too_many_values_are_left_to_arrow() -> None:
    few = "".join(f"t{i % 50},1\n" for i in range(20_000))
    assert scanned(few, 2)[0] is not None
    assert scanned(few + "".join(f"u{i},1\n" for i in range(20_000)), 2)[0] is None
    assert scanned("".join(f"u{i},1\n" for i in range(1000)), 2)[0] is None


def read_from(folder: Path, content: str, keys: dict[str, Any]) -> dict[str, list[object]]:
    return columns_of(Read.model_validate({"path": written(folder, content), **keys}))


@pytest.mark.parametrize(
    "keys",
    [
        {"missing_values": {"s": ("?",), "n": ("",)}},
        {"missing_values": {"n": ("-9",)}},
        {"missing_values": ("?", "-9")},
        {"types": {"n": "text"}},
        {"types": {"n": "number"}},
    ],
    ids=str,
)
def test_a_file_is_read_the_same_with_and_without_the_scan(
    keys: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "s,n\n" + "a,1\n?,-9\nb,\n" * 50
    (tmp_path / "scanned").mkdir()
    (tmp_path / "arrow").mkdir()
    tried: list[bool] = []
    read_plain = plain_csv.read_plain

    def heard(*arguments: Any) -> pa.Table | None:
        found = read_plain(*arguments)
        tried.append(found is not None)
        return found

    monkeypatch.setattr("lepton_dask.data.formats.csv.read_plain", heard)
    by_scan = read_from(tmp_path / "scanned", content, keys)
    assert any(tried)
    tried.clear()
    monkeypatch.setattr(plain_csv, "_compiled", Event())
    assert read_from(tmp_path / "arrow", content, keys) == by_scan
    assert not any(tried)


def test_nothing_is_read_before_the_scan_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_csv, "_compiled", Event())
    assert scanned("1,x\n2,y\n", 2)[0] is None


def _is_warm() -> bool:
    return plain_csv.is_ready()


def _is_numba_there() -> bool:
    import sys

    return "lepton_dask.learn.kernels.sweep" in sys.modules


def test_workers_get_ready_beside_their_tasks(scheduler: str) -> None:
    from lepton_dask.run.warming import _begin

    with Client(scheduler) as client:
        warm_up_scan(Dispatch(client), lambda _: None)
        # As `warm_up_kernels` does: where Dask refuses the function nothing else would tell.
        client.run(_begin, [chosen_loss("logistic")], wait=False, on_error="raise")
        deadline = time.monotonic() + 120
        for is_done in (_is_warm, _is_numba_there):
            while not all(client.run(is_done).values()):
                assert time.monotonic() < deadline
                time.sleep(0.2)
