"""A YAML file with positions: what it holds, where it stands, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.config.compose import compose
from lepton_dask.config.document import Document
from lepton_dask.config.nodes import Source, plain
from lepton_dask.config.scalars import RefusedScalar, read_scalar
from lepton_dask.errors import Mistake, UserError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str) -> Document:
    Path("a.yaml").write_bytes(text.encode())
    return Document.read(Path("a.yaml"))


def told(text: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        read(text)
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1.", 1.0),
        (".5", 0.5),
        ("+1E+3", 1000.0),
        ("-0.5e2", -50.0),
        ("0", 0),
        ("-17", -17),
        ("0x1F", 31),
        ("0o17", 15),
        ("9223372036854775807", 2**63 - 1),
        ("true", True),
        ("False", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("12:30:00", "12:30:00"),
        ("00:30", "00:30"),
        ("1_000", "1_000"),
        ("2013-09-15", "2013-09-15"),
        ("1e", "1e"),
        ("e3", "e3"),
        ("...", "..."),
        ("tRue", "tRue"),
        ("nan", "nan"),
        ("٣", "٣"),
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert read_scalar(text) == value
    assert type(read_scalar(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    ["012", "-012", "00", "01.5", "1e400", ".nan", ".inf", "-.INF", "9" * 5000, str(2**63)],
)
def test_plain_scalars_that_read_as_two_things_are_refused(text: str) -> None:
    with pytest.raises(RefusedScalar):
        read_scalar(text)


def test_quoted_and_block_scalars_are_text() -> None:
    document = read("a: '1'\nb: \"012\"\nc: |\n  5\nd: >-\n  .nan\n")
    assert document.data == {"a": "1", "b": "012", "c": "5\n", "d": ".nan"}


def test_sequences_are_tuples_and_keys_are_text() -> None:
    assert read("1: [a, {no: [2]}]\nnull: {}\n").data == {"1": ("a", {"no": (2,)}), "null": {}}


def test_aliases_stand_for_what_they_name() -> None:
    assert read("a: &x {b: 1}\nc: [*x, *x]\n").data == {"a": {"b": 1}, "c": ({"b": 1}, {"b": 1})}


def test_a_byte_order_mark_is_skipped() -> None:
    document = read("\ufeffa: 1\n")
    assert document.data == {"a": 1}
    assert document.place(("a",), at_key=True).column == 1


LAYOUT = """\
name: x
steps:
  cells: {read: {path: x}}
  scores:
    metrics:
      - roc_auc
      - rmse
empty:
"""


@pytest.mark.parametrize(
    ("path", "at_key", "line", "column"),
    [
        (("steps", "cells", "read", "path"), False, 3, 24),
        (("steps", "cells", "read", "path"), True, 3, 18),
        (("steps", "cells", "read"), True, 3, 11),
        (("steps", "cells", "read"), False, 3, 17),
        (("steps", "scores", "metrics", 1), False, 7, 9),
        (("steps", "scores", "metrics"), False, 6, 7),
        (("steps", "scores", "metrics"), True, 5, 5),
        (("empty",), False, 8, 1),
        ((), False, 1, 1),
    ],
)
def test_a_path_is_placed_in_flow_and_in_block_style(
    path: tuple[str | int, ...], at_key: bool, line: int, column: int
) -> None:
    place = read(LAYOUT).place(path, at_key=at_key)
    assert (place.file, place.line, place.column) == ("a.yaml", line, column)
    assert place.source == LAYOUT.split("\n")[line - 1]


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("steps", "cells", "read", "format"), 3, 11),
        (("steps", "cells", "read", "path", 0), 3, 24),
        (("steps", "scores", "metrics", 7), 5, 5),
        (("steps", "nowhere", "at", 0), 2, 1),
        (("nowhere",), 1, 1),
    ],
)
def test_what_the_file_does_not_hold_is_placed_at_the_nearest_ancestor(
    path: tuple[str | int, ...], line: int, column: int
) -> None:
    place = read(LAYOUT).place(path)
    assert (place.line, place.column) == (line, column)


def test_a_mistake_is_located_by_its_path() -> None:
    mistake = Mistake(("steps", "scores", "metrics", 1), "unknown 'rmse'", "did you mean 'rms'?")
    assert str(read(LAYOUT).locate(mistake)) == (
        "a.yaml:7:9: metrics[1]: unknown 'rmse'; did you mean 'rms'?"
    )


def test_a_relative_name_stays_relative_and_an_absolute_one_absolute(tmp_path: Path) -> None:
    read("a: 1\n")
    assert Document.read(Path("a.yaml")).file == "a.yaml"
    assert Document.read(tmp_path / "a.yaml").file == str(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "a.yaml:1:1: the file is empty; write at least 'name:' and 'steps:'"),
        ("# a\n", "a.yaml:1:1: the file is empty; write at least 'name:' and 'steps:'"),
        ("- a\n", "a.yaml:1:1: expected keys and values at the top; start with 'name: ...'"),
        ("a", "a.yaml:1:1: expected keys and values at the top; start with 'name: ...'"),
        (
            "a: [1,\nb: }",
            "a.yaml:2:4: not valid YAML: expected the node content, but found '}'"
            "; check the brackets, quotes and "
            "indentation before this place",
        ),
        (
            "a:\n  b: 'x\n",
            "a.yaml:3:1: not valid YAML: found unexpected end of stream (in a quoted "
            "scalar that starts in line 2); check the brackets, quotes and indentation before "
            "this place",
        ),
        (
            "a: {b: ${vars.x}}",
            "a.yaml:1:9: not valid YAML: expected ',' or '}', but got '{'; "
            "inside {...} and [...], put a reference in quotes: "
            '"${vars.x}"',
        ),
        (
            "a:\n\t- b",
            "a.yaml:2:1: not valid YAML: found character '\\t' that cannot start any token; "
            "indent with spaces, not tabs",
        ),
        (
            "a: 1\nb: x\x07",
            "a.yaml:2:5: not valid YAML: a character that cannot stand in a text file; "
            "remove it, or write it as an escape in double quotes",
        ),
        (
            "a: 1\n---\nb: 2",
            "a.yaml:2:1: a second document starts here; keep one document to a file",
        ),
        ("a: *b", "a.yaml:1:4: a: nothing is anchored as '&b'; put a text with * in quotes"),
        (
            "a: 1\n<<: {b: 2}",
            "a.yaml:2:1: merge keys ('<<') are not YAML 1.2; use 'defaults:' or 'extends:'",
        ),
        ("a: 1\n[b]: 2", "a.yaml:2:1: a key must be text; write the key as one word, or quote it"),
        ("a: 1\n'': 2", "a.yaml:2:1: a key is empty; give it a name"),
        ("a: 1\n${b}: 2", "a.yaml:2:1: a key cannot be a reference: '${b}'; write the key out"),
        ("%YAML 1.1\n---\na: no", "a.yaml:2:1: only YAML 1.2 is read; remove the %YAML directive"),
    ],
)
def test_what_is_no_safe_yaml_is_refused_in_its_place(text: str, mistake: str) -> None:
    assert told(text) == [mistake]


def test_all_that_can_be_told_is_told_at_once() -> None:
    text = "a: 012\na: !!str x\n[k]: {z: 012}\nb: [.nan, *c]\nd: }"
    assert [mistake.split(": ")[0] for mistake in told(text)] == [
        "a.yaml:1:4",
        "a.yaml:2:1",
        "a.yaml:2:4",
        "a.yaml:3:1",
        "a.yaml:3:10",
        "a.yaml:4:5",
        "a.yaml:4:11",
        "a.yaml:5:4",
    ]


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_a_mistake(name: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"{name}:1:1: cannot be read: ")):
        Document.read(Path(name))


def test_the_values_of_a_deep_but_allowed_file_are_read() -> None:
    text = "a: " + "[" * 63 + "1" + "]" * 63
    data = read(text).data["a"]
    for _ in range(63):
        assert isinstance(data, tuple)
        data = data[0]
    assert data == 1


YAMLISH = st.text(alphabet="ab:-[]{},&*!%|>'\"\\#?@`\n\t 0.1~<$", max_size=60)


@settings(max_examples=300, deadline=None)
@given(text=YAMLISH | st.text(max_size=30))
def test_any_text_is_a_document_or_a_placed_mistake(text: str) -> None:
    try:
        composed = compose(Source("a.yaml", text))
    except UserError as error:
        mistakes = error.mistakes
        assert mistakes
    else:
        mistakes = composed.mistakes
        if composed.root is not None:
            plain(composed.root)
    for mistake in mistakes:
        assert mistake.place is not None
        assert mistake.place.line >= 1
        assert mistake.place.column >= 1
