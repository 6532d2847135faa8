"""From a text to words, numbers, texts and signs, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lepton_dask.data.expressions.errors import ExpressionError

MAX_CHARACTERS = 10_000

WORDS = frozenset(
    {"and", "or", "not", "is", "null", "in", "between", "true", "false"}
    | {"case", "when", "then", "else", "end"}
)
"""Words with a meaning of their own: a column of such a name is written in double quotes."""

TokenKind = Literal["number", "text", "name", "quoted", "word", "sign", "end"]

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)
    | (?P<name>[^\W\d]\w*)
    | '(?P<text>(?:[^']|'')*)'
    | "(?P<quoted>(?:[^"]|"")*)"
    | (?P<sign><>|<=|>=|==|!=|\|\||[-+*/%=<>(),])
    """,
    re.VERBOSE,
)
_WRONG_SIGNS = {
    "'": ("a text that does not end", "close it with '"),
    '"': ("a name that does not end", 'close it with "'),
    "`": ("unexpected '`'", "put a name in double quotes"),
    "&": ("unexpected '&'", "write 'and'"),
    "|": ("unexpected '|'", "write 'or', or '||' to put texts together"),
    "!": ("unexpected '!'", "write 'not'"),
    "^": ("unexpected '^'", "write power(x, y)"),
    ".": ("unexpected '.'", "put a name with a dot in double quotes"),
    "[": ("unexpected '['", "put a name with brackets in double quotes"),
}


@dataclass(frozen=True)
class Token:
    """`text` is what it says: a word in lower case, a quoted text without its quotes."""

    kind: TokenKind
    text: str
    offset: int


def tokens(text: str) -> list[Token]:
    """The tokens of a text, the last one its end.

    Raises ExpressionError for a text that is too long and a character that has no place in one.
    """
    if len(text) > MAX_CHARACTERS:
        found = f"an expression of {len(text):,} characters"
        raise ExpressionError(found, f"write at most {MAX_CHARACTERS:,}", 0)
    found_tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unexpected(text, position)
        position = match.end()
        token = _token(match)
        if token is None:
            continue
        if token.kind == "number" and re.match(r"\w", text[position : position + 1]):
            raise _number_runs_on(text, token)
        found_tokens.append(token)
    return [*found_tokens, Token("end", "", len(text))]


def _token(match: re.Match[str]) -> Token | None:
    found, offset = match[0], match.start()
    match match.lastgroup:
        case "space":
            return None
        case "number":
            return Token("number", found, offset)
        case "name" if found.lower() in WORDS:
            return Token("word", found.lower(), offset)
        case "name":
            return Token("name", found, offset)
        case "text":
            return Token("text", match["text"].replace("''", "'"), offset)
        case "quoted":
            return Token("quoted", match["quoted"].replace('""', '"'), offset)
        case _:
            return Token("sign", {"==": "=", "!=": "<>"}.get(found, found), offset)


def _unexpected(text: str, position: int) -> ExpressionError:
    character = text[position]
    if character in _WRONG_SIGNS:
        return ExpressionError(*_WRONG_SIGNS[character], position)
    shown = character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
    return ExpressionError(
        f"unexpected '{shown}'",
        "remove it, or put the name it belongs to in double quotes",
        position,
    )


def _number_runs_on(text: str, token: Token) -> ExpressionError:
    whole = re.match(r"[\w.]+", text[token.offset :])
    written = whole[0] if whole else token.text
    return ExpressionError(
        f"'{written}' is neither a number nor a name",
        f"write '{written}' for a text or \"{written}\" for a column",
        token.offset,
    )
