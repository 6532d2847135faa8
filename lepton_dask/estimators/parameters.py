"""Checks of what an estimator was constructed with, made when it is fitted, as scikit-learn's."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import numpy as np


def refuse(estimator: Any, name: str, fix: str) -> ValueError:
    """The error for a parameter of scikit-learn's that has no meaning, or none yet, here."""
    value = getattr(estimator, name)
    return ValueError(f"{type(estimator).__name__}: {name}={value!r} is not supported; {fix}")


def check_number(
    estimator: Any,
    name: str,
    *,
    least: float = -np.inf,
    most: float = np.inf,
    open_ends: bool = False,
) -> None:
    """A real number from `least` to `most`, itself none of them with `open_ends`."""
    value = getattr(estimator, name)
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    within = number and (least < value < most if open_ends else least <= value <= most)
    if not within or (not open_ends and np.isinf(float(value))):
        words = f"above {least:g}" if open_ends else f"at least {least:g}"
        if np.isfinite(most):
            words += f" and {'below' if open_ends else 'at most'} {most:g}"
        if np.isinf(least):
            words = "a finite number"
        raise _wrong(estimator, name, words)


def check_count(estimator: Any, name: str, *, least: int, none: bool = False) -> None:
    """An integer of at least `least`; or None, where that is `none`."""
    value = getattr(estimator, name)
    if value is None and none:
        return
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        words = f"an integer of at least {least}" + (", or None" if none else "")
        raise _wrong(estimator, name, words)


def check_flags(estimator: Any, *names: str) -> None:
    """True or False."""
    for name in names:
        if not isinstance(getattr(estimator, name), (bool, np.bool_)):
            raise _wrong(estimator, name, "True or False")


def check_choice(estimator: Any, name: str, choices: Collection[str]) -> None:
    value = getattr(estimator, name)
    if not isinstance(value, str) or value not in choices:
        raise _wrong(estimator, name, "one of " + ", ".join(map(repr, choices)))


def _wrong(estimator: Any, name: str, words: str) -> ValueError:
    value = getattr(estimator, name)
    return ValueError(
        f"The '{name}' parameter of {type(estimator).__name__} must be {words}. "
        f"Got {value!r} instead."
    )
