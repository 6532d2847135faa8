"""How the kernels are compiled, and kept on disk.

numba keeps what it compiled beside the package, or in the user's cache folder where the package's
cannot be written to; where neither can, every process compiles for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

from lepton_dask.learn.kernels.sources import sources

F = TypeVar("F", bound=Callable[..., Any])

CONTRACT = frozenset({"contract"})
"""Fused multiply-adds, and nothing that reorders."""

REASSOCIATE = frozenset({"contract", "reassoc", "nsz"})
"""For sums alone: their order becomes what SIMD wants. No formula of a loss may have this."""


def kernel(fastmath: frozenset[str] = CONTRACT, inline: bool = False) -> Callable[[F], F]:
    """Decorates a function that is compiled on its first call, or read from the disk.

    It releases the GIL; a division by zero is an infinity or NaN. `inline` is for functions that
    loops become SIMD instructions with.
    """

    def decorate(function: F) -> F:
        options = {
            "nogil": True,
            "error_model": "numpy",
            "fastmath": set(fastmath),
            "forceinline": inline,
            "no_cfunc_wrapper": True,  # nothing calls the kernels but Python and each other
        }
        try:
            dispatcher = njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available for file"
            return cast("F", njit(**options)(function))
        # numba drops what it kept when the function's own file changed. A kernel contains what it
        # calls, from other files too: all of them are to count.
        dispatcher._cache._cache_file._source_stamp = sources()
        return cast("F", dispatcher)

    return decorate
