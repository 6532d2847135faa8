"""Hashed n-grams: against a plain-Python reading of their definition, and in pieces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest

from lepton_dask.data import hashed_text
from lepton_dask.data.columns import TextColumn
from lepton_dask.data.hashed_text import FittedText, NGrams, text_buckets
from lepton_dask.matrix import Sparse

TEXTS = (
    "What's my account balance?",
    "",
    "   ",
    "!!!",
    "a",
    "the the the  THE",
    "how  would\tyou say\nfly in italian",
    "Straße İstanbul ΟΔΟΣ naïve",
    "हिन्दी में पाठ",
    "今日は天気がいい",
    "thumbs 👍🏽 up",
    "snake_case 42 x²",
    "ΟΔΟΣ",
    "α leading and trailing ",
    "\x00\x1f odd\ufeff",
)
NGRAMS = NGrams((1, 2), (1, 4), 1009)
MASK = 2**64 - 1


def mix(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def bucket_of(units: Sequence[int], salt: int, buckets: int) -> int:
    value = units[0]
    for unit in units[1:]:
        value = (value + unit) * 0x9E3779B97F4A7C15 & MASK
    return (mix(value ^ mix(salt + len(units))) >> 32) * buckets >> 32


def buckets_by_hand(text: str, ngrams: NGrams) -> list[int]:
    """One text, one n-gram at a time."""
    text = text.lower()
    kinds = "".join("w" if c == "_" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    words = [
        mix(sum(mix(ord(c) + (j << 32)) for j, c in enumerate(text[m.start() : m.end()])) & MASK)
        for m in re.finditer("w+", kinds)
    ]
    found = set()
    if ngrams.words is not None:
        for n in range(ngrams.words[0], ngrams.words[1] + 1):
            for i in range(len(words) - n + 1):
                found.add(bucket_of(words[i : i + n], 0, ngrams.buckets))
    padded = [ord(c) for c in f" {' '.join(text.split())} "] if text.split() else []
    if ngrams.characters is not None:
        for n in range(ngrams.characters[0], ngrams.characters[1] + 1):
            for i in range(len(padded) - n + 1):
                gram = padded[i : i + n]
                if gram != [32]:
                    found.add(bucket_of(gram, 1 << 32, ngrams.buckets))
    return sorted(found)


def dense(sparse: Sparse, columns: int) -> np.ndarray:
    rows = len(sparse.starts) - 1
    made = np.zeros((rows, columns), dtype=np.float32)
    made[np.repeat(np.arange(rows), np.diff(sparse.starts)), sparse.columns] = sparse.values
    return made


def column(texts: Sequence[str | None]) -> TextColumn:
    levels = tuple(dict.fromkeys(text for text in texts if text is not None))
    codes = [-1 if text is None else levels.index(text) for text in texts]
    return TextColumn(np.array(codes, dtype=np.int32), levels)


@pytest.mark.parametrize(
    "ngrams",
    [
        NGRAMS,
        NGrams((1, 1), None, 2),
        NGrams((2, 3), None, 262_144),
        NGrams(None, (2, 4), 262_144),
        NGrams(None, (1, 1), 2**31 - 1),
        NGrams((1, 30), (40, 50), 997),
    ],
    ids=str,
)
def test_buckets_equal_those_of_the_definition_read_one_ngram_at_a_time(ngrams: NGrams) -> None:
    found = text_buckets(TEXTS, ngrams)
    by_text = np.split(found.buckets, found.starts[1:-1])
    assert [each.tolist() for each in by_text] == [buckets_by_hand(t, ngrams) for t in TEXTS]


@pytest.mark.parametrize("characters", [1, 7, 40, 1 << 20])
def test_how_many_characters_are_hashed_at_a_time_changes_nothing(
    characters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = text_buckets(TEXTS, NGRAMS)
    monkeypatch.setattr(hashed_text, "SLICE_CHARACTERS", characters)
    in_slices = text_buckets(TEXTS, NGRAMS)
    assert in_slices.starts.tolist() == whole.starts.tolist()
    assert in_slices.buckets.tolist() == whole.buckets.tolist()


def test_random_texts_are_hashed_as_each_is_alone() -> None:
    rng = np.random.default_rng(5)
    alphabet = list("ab c_é\t.ß👍\u0301")
    texts = ["".join(rng.choice(alphabet, size=rng.integers(0, 25))) for _ in range(400)]
    found = text_buckets(texts, NGRAMS)
    by_text = np.split(found.buckets, found.starts[1:-1])
    assert [each.tolist() for each in by_text] == [buckets_by_hand(t, NGRAMS) for t in texts]


def test_a_text_that_holds_the_border_between_texts_is_still_one_text() -> None:
    found = text_buckets(["a\ud800b", "c"], NGRAMS)
    alone = text_buckets(["a\ufffdb", "c"], NGRAMS)
    assert found.starts.tolist() == alone.starts.tolist()
    assert found.buckets.tolist() == alone.buckets.tolist()


def test_no_texts_have_no_buckets() -> None:
    assert text_buckets((), NGRAMS).starts.tolist() == [0]


def test_every_row_with_words_has_length_1_over_the_rows_that_it_was_fitted_on() -> None:
    rows = column([*TEXTS, None, TEXTS[0]])
    fitted = FittedText("t", NGRAMS, NGRAMS.touched(rows).buckets)
    made = dense(fitted.apply(rows), len(fitted.touched))
    length = np.sqrt((made.astype(float) ** 2).sum(axis=1))
    empty = np.array([not buckets_by_hand(t, NGRAMS) for t in TEXTS] + [True, False])
    assert empty.sum() == 3
    np.testing.assert_allclose(length, np.where(empty, 0.0, 1.0), rtol=1e-6)
    assert np.array_equal(made[-1], made[0])
    assert fitted.features[0] == f"t#{fitted.touched[0]}"


def test_buckets_that_no_training_row_touches_have_no_column_and_count_for_the_length() -> None:
    training, later = column(["red car"]), column(["red bus", "blue"])
    words = NGrams((1, 1), None, 262_144)
    fitted = FittedText("t", words, words.touched(training).buckets)
    sparse = fitted.apply(later)
    assert sparse.starts.tolist() == [0, 1, 1]
    red = fitted.touched.tolist().index(buckets_by_hand("red", words)[0])
    assert sparse.columns.tolist() == [red]
    np.testing.assert_allclose(sparse.values, [np.sqrt(0.5)], rtol=1e-6)


@pytest.mark.parametrize("cut", [0, 1, 3, 9])
def test_touched_buckets_of_chunks_merge_to_those_of_the_whole(cut: int) -> None:
    texts = [*TEXTS, None, TEXTS[0], TEXTS[4]]
    whole = NGRAMS.touched(column(texts))
    merged = NGRAMS.touched(column(texts[:cut])).merged(NGRAMS.touched(column(texts[cut:])))
    assert merged.buckets.tolist() == whole.buckets.tolist()
    assert merged.rows.tolist() == whole.rows.tolist()
    by_hand: dict[int, int] = {}
    for text in texts:
        for bucket in buckets_by_hand(text, NGRAMS) if text is not None else ():
            by_hand[bucket] = by_hand.get(bucket, 0) + 1
    assert dict(zip(whole.buckets.tolist(), whole.rows.tolist(), strict=True)) == by_hand


def test_texts_of_a_dictionary_that_no_row_has_touch_nothing() -> None:
    sliced = TextColumn(np.array([1, -1, 1], dtype=np.int32), ("unused", "used"))
    touched = NGRAMS.touched(sliced)
    assert touched.buckets.tolist() == buckets_by_hand("used", NGRAMS)
    assert set(touched.rows.tolist()) == {2}


def test_few_and_many_lookups_find_the_same_places() -> None:
    touched = np.array([3, 8, 100], dtype=np.int32)
    buckets = np.arange(101, dtype=np.int32)
    by_table = hashed_text._places(touched, buckets, 101)
    by_bisection = hashed_text._places(touched, buckets, 10**9)
    assert by_table.tolist() == by_bisection.tolist()
    assert np.flatnonzero(by_table >= 0).tolist() == [3, 8, 100]
