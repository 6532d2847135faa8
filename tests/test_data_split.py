"""Splits: the same for every chunking, exact where they promise to be."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.data.split import Split, check_split, plan_split, split_parts
from lepton_dask.data.splits import by_class
from lepton_dask.data.splits.assignment import LEFT_OUT, NO_VALUE, FirstPhase, Rows
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import UserError

AT = ("steps", "parts", "split")
SCHEMA = {
    "x": ColumnType("number"),
    "label": ColumnType("text"),
    "t": ColumnType("integer"),
    "day": ColumnType("date"),
    "moment": ColumnType("timestamp", "America/New_York"),
    "naive": ColumnType("timestamp"),
    "part": ColumnType("text"),
}


def table_of(rows: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    labels = rng.choice(["a", "b", "c", "rare"], rows, p=[0.6, 0.3, 0.09, 0.01])
    hours = rng.integers(0, 24 * 60, rows)
    return pa.table(
        {
            "x": rng.normal(size=rows),
            "label": pa.array(labels, mask=rng.random(rows) < 0.05),
            "t": pa.array(np.sort(rng.integers(0, max(rows // 3, 1), rows))),
            "day": pa.array((hours // 24).astype(np.int32), pa.date32()),
            "moment": pa.array(hours * 3600 * 10**9, pa.timestamp("ns", "America/New_York")),
            "naive": pa.array(hours * 3600 * 10**9, pa.timestamp("ns")),
            "part": rng.choice(["train", "validation", "test"], rows),
        }
    )


def codes_of(split: Split, table: pa.Table, cuts: list[int] | None = None, seed: int = 7):
    """Part codes of a table that is cut into chunks at the given rows."""
    assert check_split(split, SCHEMA, ("train", "test") if split.of else (), AT) == []
    borders = [0, *sorted(min(cut, table.num_rows) for cut in cuts or []), table.num_rows]
    chunks = [
        Rows(table.slice(start, stop - start), np.arange(start, stop), "cells")
        for start, stop in pairwise(borders)
    ]
    plan = plan_split(split, SCHEMA, seed, AT)
    if isinstance(plan, FirstPhase):
        statistics = plan.gather(chunks[-1])
        for chunk in chunks[:-1]:
            statistics = plan.merge(statistics, plan.gather(chunk))
        plan = plan.decide(statistics)
    return np.concatenate([plan.assign(chunk) for chunk in chunks])


def mistakes(split: Split, incoming: tuple[str, ...] = ()) -> list[str]:
    return [str(mistake) for mistake in check_split(split, SCHEMA, incoming, AT)]  # type: ignore[arg-type]  # parts


SPLITS = [
    Split(train=0.6, validation=0.2, test=0.2),
    Split(test=0.3, stratify="label"),
    Split(train=0.5, test=0.5, group="label"),
    Split(train=0.7, validation=0.1, test=0.2, time="t"),
    Split(train=0.7, validation=0.1, test=0.2, time="t", gap=3),
    Split(time="moment", validation="1970-01-20", test="1970-02-01", gap="24h"),
    Split(time="day", test=0.25),
    Split(column="part"),
    Split(of="train", validation=0.2),
]


@settings(max_examples=60, deadline=None)
@given(
    split=st.sampled_from(SPLITS),
    rows=st.integers(30, 300),
    cuts=st.lists(st.integers(0, 300), max_size=6),
)
def test_a_split_is_the_same_for_every_chunking(split: Split, rows: int, cuts: list[int]):
    table = table_of(rows)
    np.testing.assert_array_equal(codes_of(split, table), codes_of(split, table, cuts))


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_reads_no_column_but_its_own(split: Split):
    table = table_of(100)
    own = [name for name in (split.stratify, split.group, split.time, split.column) if name]
    few = table.select(own) if own else table.select(["x"])
    np.testing.assert_array_equal(codes_of(split, table), codes_of(split, few))


class TestRandom:
    def test_shares_come_out_about_as_asked(self):
        counts = np.bincount(codes_of(Split(train=0.6, validation=0.1, test=0.3), table_of(20_000)))
        assert np.abs(counts / 20_000 - [0.6, 0.1, 0.3]).max() < 0.01

    def test_rows_go_where_splitmix64_in_plain_integers_sends_them(self):
        codes = codes_of(Split(train=0.6, validation=0.2, test=0.2), table_of(300))
        key = blake2b(digest_size=8)
        for text in (b"row", b"7", b"", b"cells"):
            key.update(len(text).to_bytes(8, "little") + text)
        state = int.from_bytes(key.digest(), "little")
        for code in codes:
            state = (state + 0x9E3779B97F4A7C15) % 2**64
            z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
            share = (z ^ (z >> 31)) / 2**64
            assert code == (0 if share < 0.6 else 1 if share < 0.8 else 2)

    def test_seed_and_file_change_the_split(self):
        table, split = table_of(1000), Split(train=0.5, test=0.5)
        assert (
            400 < np.count_nonzero(codes_of(split, table) != codes_of(split, table, seed=8)) < 600
        )
        plan = plan_split(split, SCHEMA, 7, AT)
        one, other = (plan.assign(Rows(table, np.arange(1000), stem)) for stem in ("a", "b"))
        assert 400 < np.count_nonzero(one != other) < 600

    def test_a_row_keeps_its_part_when_others_are_dropped(self):
        table, split = table_of(1000), Split(train=0.5, test=0.5)
        kept = np.arange(0, 1000, 3)
        plan = plan_split(split, SCHEMA, 7, AT)
        some = plan.assign(Rows(table.take(kept), kept, "cells"))
        np.testing.assert_array_equal(some, codes_of(split, table)[kept])

    def test_carving_with_the_same_seed_takes_its_share(self):
        table = table_of(20_000)
        train = np.flatnonzero(codes_of(Split(train=0.8, test=0.2), table) == 0)
        plan = plan_split(Split(of="train", validation=0.1), SCHEMA, 7, AT)
        carved = plan.assign(Rows(table.take(train), train, "cells"))
        assert abs(np.mean(carved == 1) - 0.1) < 0.01
        assert set(carved) == {0, 1}


class TestStratified:
    @pytest.mark.parametrize("rows", [50, 1001])
    def test_every_class_has_its_share_to_the_row(self, rows: int):
        table = table_of(rows)
        codes = codes_of(Split(train=0.6, validation=0.2, test=0.2, stratify="label"), table)
        labels = np.array([str(label) for label in table["label"].to_pylist()])
        for label in set(labels):
            counts = np.bincount(codes[labels == label], minlength=3)
            assert np.abs(counts - counts.sum() * np.array([0.6, 0.2, 0.2])).max() <= 1

    def test_a_large_class_is_cut_by_the_hash_alone(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(by_class, "MOST_EXACT_ROWS", 100)
        table = table_of(3000)
        codes = codes_of(Split(train=0.5, test=0.5, stratify="label"), table, [500, 1700])
        random = codes_of(Split(train=0.5, test=0.5), table)
        labels = np.array(table["label"].to_pylist())
        np.testing.assert_array_equal(codes[labels == "a"], random[labels == "a"])
        rare = np.bincount(codes[labels == "rare"], minlength=3)
        assert abs(int(rare[0]) - int(rare[2])) <= 1

    def test_a_column_of_numbers_is_no_column_of_classes(self):
        with pytest.raises(UserError, match=r"'x' has more than 1,000 values"):
            codes_of(Split(test=0.5, stratify="x"), table_of(2000))


class TestGroups:
    def test_a_group_stays_together_and_so_do_rows_without_one(self):
        table = pa.table({"label": pa.array([str(i % 50) if i % 51 else None for i in range(999)])})
        codes = codes_of(Split(train=0.5, test=0.5, group="label"), table)
        by_group: dict[object, set[int]] = {}
        for label, code in zip(table["label"].to_pylist(), codes, strict=True):
            by_group.setdefault(label, set()).add(int(code))
        assert all(len(parts) == 1 for parts in by_group.values())
        assert len({min(parts) for parts in by_group.values()}) == 2

    def test_the_type_of_a_group_does_not_matter(self):
        split = Split(train=0.5, test=0.5, group="t")
        columns = ([1, 2, 3, 40], [1.0, 2.0, 3.0, 40.0], ["1", "2", "3", "40"])
        codes = [codes_of(split, pa.table({"t": column})).tolist() for column in columns]
        assert codes[0] == codes[1] == codes[2]


class TestTime:
    def test_starts_cut_in_the_columns_own_zone(self):
        moments = [
            datetime(2013, 9, 15, 3, 59, tzinfo=UTC),
            datetime(2013, 9, 15, 4, 0, tzinfo=UTC),  # midnight in New York
            datetime(2013, 10, 19, 4, 0, tzinfo=UTC),
            None,
        ]
        table = pa.table({"moment": pa.array(moments, pa.timestamp("ns", "America/New_York"))})
        split = Split(time="moment", validation="2013-09-15", test="2013-10-19")
        assert codes_of(split, table).tolist() == [0, 1, 2, NO_VALUE]

    def test_an_offset_in_a_start_holds(self):
        split = Split(time="moment", test="2013-09-15T00:00:00+00:00")
        moments = [datetime(2013, 9, 14, 23, tzinfo=UTC), datetime(2013, 9, 15, tzinfo=UTC)]
        table = pa.table({"moment": pa.array(moments, pa.timestamp("ns", "America/New_York"))})
        assert codes_of(split, table).tolist() == [0, 2]

    def test_a_gap_is_taken_out_of_the_part_before(self):
        table = pa.table({"t": [0, 1, 2, 3, 4, 5, 6, 7]})
        split = Split(time="t", train=1, validation=4, test=6, gap=2)
        assert codes_of(split, table).tolist() == [
            LEFT_OUT,
            0,
            LEFT_OUT,
            LEFT_OUT,
            *[LEFT_OUT] * 2,
            2,
            2,
        ]
        days = pa.table({"day": [date(2013, 1, d) for d in (1, 2, 3, 4)]})
        split = Split(time="day", test="2013-01-03", gap="1d")
        assert codes_of(split, days).tolist() == [0, LEFT_OUT, 2, 2]

    def test_fractions_cut_between_distinct_times(self):
        table = pa.table({"t": [1] * 5 + [2] * 3 + [3] * 1 + [4] * 1})
        codes = codes_of(Split(time="t", train=0.7, validation=0.1, test=0.2), table)
        assert codes.tolist() == [0] * 8 + [1] + [2]
        shuffled = np.random.default_rng(0).permutation(10)
        again = codes_of(Split(time="t", train=0.7, validation=0.1, test=0.2), table.take(shuffled))
        assert again.tolist() == codes[shuffled].tolist()

    def test_every_part_gets_a_time(self):
        codes = codes_of(
            Split(time="t", train=0.98, validation=0.01, test=0.01), pa.table({"t": [1, 2, 3]})
        )
        assert codes.tolist() == [0, 1, 2]

    def test_too_few_times_are_refused(self):
        with pytest.raises(UserError, match="has 1 distinct times; 2 parts need"):
            codes_of(Split(time="t", test=0.5), pa.table({"t": [1, 1, 1]}))


class TestColumn:
    def test_values_name_the_parts(self):
        table = pa.table({"part": ["train", "test", "validation", "train"]})
        assert codes_of(Split(column="part"), table).tolist() == [0, 2, 1, 0]

    def test_other_values_are_refused_by_name(self):
        table = pa.table({"part": ["train", "dev", None]})
        with pytest.raises(UserError, match=r"other things than parts: '\(missing\)', 'dev'"):
            codes_of(Split(column="part"), table, [1])


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(), "no part is given"),
        (Split(train=0.6, test=0.3), "add up to 0.9, not to 1"),
        (Split(validation=0.6, test=0.4), "leave some for 'train'"),
        (Split(test=2), "test: 2 is not a fraction"),
        (Split(test="2013-01-01"), "test: '2013-01-01' is not a fraction"),
        (
            Split(test=0.5, stratify="lable"),
            "stratify: unknown column 'lable'; did you mean 'label'?",
        ),
        (Split(test=0.5, stratify="label", group="label"), "does not go together with 'stratify'"),
        (Split(test=0.5, gap=3), "gap: needs 'time'"),
        (Split(column="part", test=0.5), "the parts are named by 'column'"),
        (Split(time="label", test=0.5), "time: 'label' is text, not a time"),
        (Split(time="t", test="2013-01-01"), "is text, the column holds numbers"),
        (Split(time="moment", test="tomorrow"), "'tomorrow' is not a date or time"),
        (Split(time="naive", test="2013-01-01T00:00Z"), "the column has no time zone"),
        (Split(time="day", test="2013-01-01T05:00"), "the column holds dates"),
        (Split(time="day", test=3), "is a number, the column holds a date"),
        (Split(time="t", validation=9, test=5), "test: starts before the part before it does"),
        (Split(time="moment", test=0.5, gap=24), "gap: 24 is not a duration"),
        (Split(time="t", test=0.5, gap="24h"), "gap: '24h' is text, the column holds numbers"),
        (Split(of="train", validation=0.1), "there is no part 'train' to carve out of"),
    ],
)
def test_what_a_split_says_wrong_is_refused(split: Split, message: str):
    assert any(message in mistake for mistake in mistakes(split))


def test_what_is_split_already_needs_of():
    assert "is in the parts train, test already" in mistakes(Split(test=0.5), ("train", "test"))[0]
    assert mistakes(Split(of="train", validation=0.1), ("train", "test")) == []
    carved = mistakes(Split(of="train", test=0.1), ("train", "test"))
    assert carved == ["test: the table has a part 'test' already"]


def test_the_parts_behind_a_split_are_known_before_it_runs():
    assert split_parts(Split(test=0.2), ()) == ("train", "test")
    assert split_parts(Split(of="train", validation=0.2), ("train", "test")) == (
        "train",
        "validation",
        "test",
    )
    assert split_parts(Split(column="part"), ()) == ("train", "validation", "test")


def test_null_labels_are_a_class_of_their_own():
    table = pa.table({"label": pa.array([None] * 10 + ["a"] * 10)})
    codes = codes_of(Split(test=0.5, stratify="label"), table)
    assert Counter(codes[:10].tolist()) == Counter(codes[10:].tolist()) == {0: 5, 2: 5}
