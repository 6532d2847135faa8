"""How the kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lepton_dask.learn.kernels.sources import KERNELS

F = TypeVar("F", bound=Callable[..., Any])

CONTRACT = frozenset({"contract"})
"""Fused multiply-adds, and nothing that reorders."""

REASSOCIATE = frozenset({"contract", "reassoc", "nsz"})
"""For sums alone: their order becomes what SIMD wants. No formula of a loss may have this."""


def kernel(fastmath: frozenset[str] = CONTRACT, inline: bool = False) -> Callable[[F], F]:
    """Decorates a function that is compiled on its first call, or read from the disk.

    `inline` is for every function that another kernel calls: so that loops become SIMD instructions
    with it, and because each kernel would bring a copy of its own, of which a process calls the one
    that it happened to load first. Copies sum in orders of their own where that is left to the
    compiler: an intercept's gradient had other bits where it was compiled than where it was read
    from the disk.
    """

    def decorate(function: F) -> F:
        return KERNELS.compiled(
            function,
            fastmath=set(fastmath),
            forceinline=inline,
            no_cfunc_wrapper=True,  # nothing calls the kernels but Python and each other
        )

    return decorate
