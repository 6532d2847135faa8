"""Keeping secrets out of everything that is written or printed.

An environment value stands in a pipeline as a reference, `${env.TOKEN}`; resolved, it may turn up
in a path, in an error of a library, in a plan. The password of a URL is one too, wherever it came
from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "[redacted]"
SHORTEST_SECRET = 3
"""A secret of one or two characters is hidden only where it stands alone: replaced inside other
text it would garble every number and word that contains it, and hide nothing."""

_URL_PASSWORD = re.compile(r"(?P<scheme>\w+://)[^/\s:@]+:[^/\s@]+@")


class Redactor:
    """Replaces secrets in text, and in the texts of nested lists and dictionaries."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: one secret may contain another.
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def text(self, text: str) -> str:
        for secret in self._secrets:
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, HIDDEN)
            elif text == secret:
                text = HIDDEN
        return _URL_PASSWORD.sub(rf"\g<scheme>{HIDDEN}@", text)

    def document(self, value: object) -> object:
        """The same for JSON-like data: keys and texts redacted, everything else as it is."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.document(key): self.document(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(item) for item in value]
        return value
