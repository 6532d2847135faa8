"""What is wrong in an expression, and where in its text."""

from __future__ import annotations

from collections.abc import Iterable

from lepton_dask.errors import DocumentPath, Mistake


class ExpressionError(Exception):
    """One thing that is wrong: what was found at a character (counted from 0), what to do."""

    def __init__(self, found: str, fix: str, offset: int) -> None:
        super().__init__(f"character {offset + 1}: {found}" + (f"; {fix}" if fix else ""))
        self.found, self.fix, self.offset = found, fix, offset

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[str, str, int]]:
        return ExpressionError, (self.found, self.fix, self.offset)

    def mistake(self, at: DocumentPath) -> Mistake:
        """The same as a mistake in the text that stands at a document's path."""
        return Mistake(at, self.found, self.fix, offset=self.offset)


class ExpressionErrors(Exception):
    """All that is wrong in one expression, in the text's order."""

    def __init__(self, errors: Iterable[ExpressionError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: error.offset))
        super().__init__("\n".join(str(error) for error in self.errors))

    def __reduce__(self) -> tuple[type[ExpressionErrors], tuple[tuple[ExpressionError, ...]]]:
        return ExpressionErrors, (self.errors,)
