"""Values of the environment, which no message, log or file may show."""

from __future__ import annotations

import re
from collections.abc import Mapping


def redact(text: str, secrets: Mapping[str, str]) -> str:
    """`text` with each secret replaced by the reference that it came through.

    Short values ("7") would stand in half of all words: up to three characters count only as a
    word of their own.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > 3:
            text = text.replace(secret, secrets[secret])
        elif secret:
            text = secrets[secret].join(re.split(rf"(?<!\w){re.escape(secret)}(?!\w)", text))
    return text
