"""Where the groups lie while a prior is learnt from them: here, or on the workers (spread.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.meta.base import GroupedRows, Held, Label, MetaAlgorithm, Setting

AnyAlgorithm = MetaAlgorithm[Any, Any, Any]


class Groups(Protocol):
    """Groups in parts, each held somewhere."""

    def work(self, algorithm: AnyAlgorithm, setting: Setting, prior: Any, seed: int) -> list[Any]:
        """What each part contributes to a round of this seed, in the parts' order."""

    def joined(self, other: Groups) -> Groups:
        """The groups of both, part by part; what both hold of a group is merged."""

    def piece(self, part: int) -> Any:
        """What is held of a part, or a task that yields it."""


@dataclass(frozen=True)
class LocalGroups:
    """Groups in this process."""

    held: tuple[Held, ...]

    def work(self, algorithm: AnyAlgorithm, setting: Setting, prior: Any, seed: int) -> list[Any]:
        parts = range(len(self.held))
        return contributions(self.held, parts, algorithm, setting, prior, seed)

    def joined(self, other: Groups) -> Groups:
        if not isinstance(other, LocalGroups):
            return other.joined(self)
        pairs = zip(self.held, other.held, strict=True)
        return LocalGroups(tuple(merged_held(pair) for pair in pairs))

    def piece(self, part: int) -> Any:
        return self.held[part]


def merged_held(pieces: Sequence[Held]) -> Held:
    """What is held of the groups in all pieces."""
    return type(pieces[0]).merged(pieces)


def contributions(
    held: Sequence[Held],
    parts: Sequence[int],
    algorithm: AnyAlgorithm,
    setting: Setting,
    prior: Any,
    seed: int,
) -> list[Any]:
    """What these parts contribute to a round of an algorithm; what one draws at random, its number
    and the round's seed decide.

    What was kept for one algorithm serves another: rows are kept anew, sums over them are what
    every algorithm keeps that does not keep rows.
    """
    kept = [
        algorithm.keep(setting, each) if isinstance(each, GroupedRows) else each for each in held
    ]
    return [
        algorithm.work(setting, prior, each, drawn_seed(seed, part))
        for part, each in zip(parts, kept, strict=True)
    ]


def drawn_seed(seed: int, number: int) -> int:
    """A seed of its own for the member of that number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def digest(seed: int, name: Label) -> int:
    """64 bits that a group's name, as a text, and a seed decide alone."""
    content = f"{seed}:{name_text(name)}".encode()
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def name_text(name: Label) -> str:
    """A group's name as a text: 3 and 3.0 are one group."""
    if isinstance(name, float) and name.is_integer():
        return str(int(name))
    return str(name)


def part_of(name: Label, parts: int) -> int:
    """Which part holds a group: its name decides, so that rows find together wherever they lie."""
    return digest(0, name) % parts


def in_parts(rows: GroupedRows, parts: int) -> list[GroupedRows]:
    """The groups by the part that holds them."""
    where = np.array([part_of(name, parts) for name in rows.names], dtype=np.intp)
    return [rows.take(np.flatnonzero(where == part)) for part in range(parts)]


def grouped(
    owner: NDArray[np.intp],
    names: Sequence[Label],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> GroupedRows:
    """Rows as groups: row i is of the group names[owner[i]]. Within a group they keep their order.

    Names are told apart as texts, and a name of which there is no row is no group.
    """
    texts = [name_text(name) for name in names]
    present = sorted({texts[t] for t in np.unique(owner)})
    place = {text: t for t, text in enumerate(present)}
    renumbered = np.array([place.get(text, -1) for text in texts], dtype=np.intp)[owner]
    order = np.argsort(renumbered, kind="stable")
    counts = np.bincount(renumbered, minlength=len(present))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return GroupedRows(x[order], y[order], weight[order], starts, tuple(present))
