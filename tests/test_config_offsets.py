"""A mistake inside a text points at its character, however the text is written in the file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.config.compose import compose
from lepton_dask.config.document import Document
from lepton_dask.config.mistakes import render
from lepton_dask.config.nodes import MappingNode, Source, plain
from lepton_dask.config.variables import resolve
from lepton_dask.errors import Mistake

BLANKS = " \t\r\n"

STYLES = {
    "plain": "e: alpha > beta\n",
    "plain over lines": "e: alpha >\n   beta  and\n\n   gamma\nf: 1\n",
    "single": "e: 'alpha = ''x'' and beta'\n",
    "single over lines": "e: 'alpha =\n\n    ''x'''\n",
    "double": 'e: "\\"alpha beta\\" > \\u0031 and \\x41\\tb"\n',
    "double over lines": 'e: "alpha \\\n   > 1 and\n   \\  beta"\n',
    "literal": "e: |\n  alpha > 1\n    and beta\nf: 1\n",
    "literal with a header": "e: |2-  # a comment\n   alpha > 1\n\n  and beta\n",
    "folded": "e: >\n  alpha > 1\n  and beta\n\n  or gamma\n",
    "folded, kept": "e: >+\n  alpha\n   more\n  beta\n\n",
    "in a list of one line": "e: [1, 'alpha', beta > 1]\n",
    "anchored": "e: &x 'alpha > beta'\n",
    "beyond the basic plane": "e: '\N{GRINNING FACE} alpha \N{LATIN SMALL LETTER E WITH ACUTE}'\n",
    "other line ends": "f: 1\r\ne: >\r\n  alpha\r\n  beta\r\n",
}


def document(text: str) -> Document:
    root = compose(Source("a.yaml", text)).root
    assert isinstance(root, MappingNode)
    return Document(root)


def texts(text: str) -> list[tuple[tuple[str | int, ...], str]]:
    value = document(text).data["e"]
    items = [(("e",), value)] if isinstance(value, str) else []
    if isinstance(value, tuple):
        items = [(("e", i), item) for i, item in enumerate(value) if isinstance(item, str)]
    return items  # type: ignore[return-value]  # narrowed above


def character_at(text: str, path: tuple[str | int, ...], offset: int) -> str:
    place = document(text).locate(Mistake(path, "found", offset=offset)).place
    assert place is not None
    return place.source[place.column - 1 :]


@pytest.mark.parametrize("text", STYLES.values(), ids=STYLES.keys())
def test_every_character_of_a_value_is_found_in_its_file(text: str) -> None:
    assert texts(text)
    for path, value in texts(text):
        for offset, character in enumerate(value):
            if character in BLANKS:
                continue
            rest = character_at(text, path, offset)
            escaped = {'"': '\\"', "1": "\\u0031", "A": "\\x41"}.get(character, character)
            assert rest.startswith((character, escaped)), (value, offset, rest)


def test_a_character_is_told_from_its_equals_before_it() -> None:
    text = "e: >\n  a a\n  a a\n"
    places = [document(text).locate(Mistake(("e",), "", offset=i)).place for i in (0, 2, 4, 6)]
    assert [(p.line, p.column) for p in places if p] == [(2, 3), (2, 5), (3, 3), (3, 5)]


def test_an_escape_or_two_quotes_are_one_character() -> None:
    assert character_at("e: 'a = ''x'' or b'\n", ("e",), 11) == "b'"
    assert character_at('e: "\\"a\\" = 1 or b"\n', ("e",), 11) == 'b"'


def test_the_end_of_a_text_is_behind_its_last_character() -> None:
    assert character_at("e: 'alpha >'\n", ("e",), 7) == "'"
    assert character_at("e: alpha >  # more\n", ("e",), 7) == "  # more"
    assert character_at("e: |\n  alpha >\nf: 1\n", ("e",), 8) == ""


def test_a_blank_is_found_on_the_line_of_what_stands_before_it() -> None:
    assert character_at("e: 'a   b'\n", ("e",), 2) == "  b'"


def test_a_value_that_came_through_a_reference_keeps_its_own_place() -> None:
    root = document("vars: {x: alpha beta}\ne: ${vars.x}\n").root
    resolved = Document(resolve(root, {}).root)
    place = resolved.locate(Mistake(("e",), "found", offset=6)).place
    assert place is not None
    assert (place.line, place.column) == (2, 4)


def test_the_caret_stands_under_the_character() -> None:
    text = "steps:\n  adults: {clean: {filter: 'age >= 18 and capital-gain > 0'}}\n"
    mistake = Mistake(("steps", "adults", "clean", "filter"), "unknown column 'capital'", offset=14)
    shown = render(document(text).locate(mistake)).split("\n")
    assert shown[0] == "a.yaml:2:43: filter: unknown column 'capital'"
    assert shown[1][shown[2].index("^") :].startswith("capital-gain")


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.text(st.sampled_from("ab'\"\\ #>|&:\t\u00e9\U0001f600"), min_size=1, max_size=12),
    st.sampled_from(["'", '"']),
)
def test_any_quoted_text_is_found_character_by_character(value: str, quote: str) -> None:
    if quote == "'":
        written = "'" + value.replace("'", "''") + "'"
    else:
        written = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
    text = f"e: {written}\n"
    root = document(text).root
    assert plain(root.entries["e"].value) == value
    for offset, character in enumerate(value):
        if character not in BLANKS:
            rest = character_at(text, ("e",), offset)
            assert rest.startswith((character, "\\" + character))
