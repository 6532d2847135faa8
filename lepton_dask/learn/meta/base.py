"""What every meta-learning algorithm is: from many groups' rows to a prior, and from a prior and a
few rows of a new group to that group's model.

    prior = algorithm.start(setting, seed)                      # at random
    while going on:                                             # loop.py
        messages = [algorithm.work(setting, prior, held, seed) for held in ...]    # on the workers
        prior = algorithm.combine(setting, prior, messages)
    [model] = algorithm.adapt(setting, prior, rows_of_a_new_group)

Nothing here knows Dask: `keep`, `work` and `adapt` are pure functions that the workers call,
`start`, `combine` and `adjust` pure functions of the driver's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from lepton_dask.component import Component
from lepton_dask.learn.layers import Layer, through
from lepton_dask.matrix import Floats

MetaLoss = Literal["squared", "logistic"]
Label = str | int | float | bool


@dataclass(frozen=True)
class Setting:
    """What is learnt from what, the same for all groups.

    features  a name for each of the D columns of x; the intercept is none of them
    loss      squared: half the squared residual of a y that has been scaled to mean 0 and standard
              deviation 1 over the training rows; logistic: of y in {0, 1}
    random    (1 + D,) bool: which of the intercept, first, and the coefficients differ between the
              groups; what does not is the same for all. Networks do not look at it
    shots     the numbers of rows of a new group that adapting is to be good at, ascending
    """

    features: tuple[str, ...]
    loss: MetaLoss
    random: NDArray[np.bool_]
    shots: tuple[int, ...]


class GroupedRows(NamedTuple):
    """Rows of T groups, those of one group side by side.

    x (N, D) float64, numbers scaled, categories as 0 and 1; y (N,); weight (N,); group t's rows are
    those from starts[t] to starts[t + 1], starts (T + 1,) int64; names (T,), ascending as texts.
    """

    x: Floats
    y: Floats
    weight: Floats
    starts: NDArray[np.int64]
    names: tuple[Label, ...]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(T,) rows of each group."""
        return np.diff(self.starts)

    def group(self, t: int) -> GroupedRows:
        """One group's rows."""
        return self.rows(np.arange(self.starts[t], self.starts[t + 1]), np.array([t]))

    def take(self, groups: NDArray[np.intp]) -> GroupedRows:
        """These groups, in this order."""
        chosen = [np.arange(self.starts[t], self.starts[t + 1]) for t in groups]
        return self.rows(np.concatenate([np.empty(0, np.intp), *chosen]).astype(np.intp), groups)

    def rows(self, rows: NDArray[np.intp], groups: NDArray[np.intp]) -> GroupedRows:
        """These rows, which are of these groups, in this order."""
        owner = np.repeat(np.arange(len(self.names)), self.counts)[rows]
        counts = np.bincount(owner, minlength=len(self.names))[groups]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        names = tuple(self.names[t] for t in groups)
        return GroupedRows(self.x[rows], self.y[rows], self.weight[rows], starts, names)

    @classmethod
    def merged(cls, parts: Sequence[GroupedRows]) -> GroupedRows:
        """The groups of all parts; the rows of a group that several have in the parts' order."""
        names = sorted({name for part in parts for name in part.names}, key=str)
        place = {name: t for t, name in enumerate(names)}
        owner = np.concatenate(
            [
                np.repeat(
                    np.array([place[name] for name in part.names], dtype=np.intp), part.counts
                )
                for part in parts
            ]
        )
        order = np.argsort(owner, kind="stable")
        counts = np.bincount(owner, minlength=len(names))
        return cls(
            np.concatenate([part.x for part in parts])[order],
            np.concatenate([part.y for part in parts])[order],
            np.concatenate([part.weight for part in parts])[order],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            tuple(names),
        )


class Held(Protocol):
    """What a worker holds of its groups: their rows, or sums over them. Parts of a group merge."""

    @property
    def names(self) -> tuple[Label, ...]: ...

    def take(self, groups: NDArray[np.intp]) -> Self: ...

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self: ...


@dataclass(frozen=True)
class Adapted:
    """A group's model: z(x) = h(x)'coefficients + intercept, where h is x through the hidden
    layers, if there are any. coefficients (H,); without layers (D,)."""

    coefficients: Floats
    intercept: float
    hidden: tuple[Layer, ...] = ()

    def linear(self, x: Floats) -> Floats:
        """z (n,) of rows x (n, D)."""
        z: Floats = through(self.hidden, x) @ self.coefficients + self.intercept
        return z


class Prior(Protocol):
    """What is learnt from the groups, as named arrays: what a bundle stores."""

    def arrays(self) -> Mapping[str, NDArray[Any]]: ...

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self: ...


PriorT = TypeVar("PriorT", bound=Prior)
HeldT = TypeVar("HeldT", bound=Held)
MessageT = TypeVar("MessageT")


class MetaAlgorithm(Component, ABC, Generic[PriorT, HeldT, MessageT]):
    """Learns a prior from groups, a round at a time, and adapts it to a new group.

    `losses` are those that it is for. `refits`: whether a round costs so little that the prior is
    learnt again with the held-out groups among the others once they have said when to stop.
    `parts` is in how many parts the groups are held, whoever holds them: the prior depends on it,
    and not on the number of workers.
    """

    name: ClassVar[str]
    losses: ClassVar[frozenset[str]] = frozenset({"squared", "logistic"})
    refits: ClassVar[bool] = False

    @property
    @abstractmethod
    def parts(self) -> int: ...

    @abstractmethod
    def keep(self, setting: Setting, rows: GroupedRows) -> HeldT:
        """What is held of these rows."""

    def held_bytes(self, setting: Setting, groups: int) -> int:  # noqa: ARG002 - for overrides
        """What is held of so many groups beyond their rows, in bytes."""
        return 0

    @abstractmethod
    def start(self, setting: Setting, seed: int) -> PriorT:
        """Where learning begins: drawn at random from `seed`."""

    @abstractmethod
    def work(self, setting: Setting, prior: PriorT, held: HeldT, seed: int) -> MessageT:
        """One part's contribution to a round; what is drawn at random is drawn from `seed`."""

    @abstractmethod
    def combine(self, setting: Setting, prior: PriorT, messages: Sequence[MessageT]) -> PriorT:
        """The prior after a round, from the contributions in the parts' order."""

    def adjust(self, prior: PriorT, improved: bool) -> PriorT:  # noqa: ARG002 - for overrides
        """The prior for the next round, given whether the held-out groups were predicted better
        than ever after this one."""
        return prior

    def has_converged(self, before: PriorT, after: PriorT) -> bool:  # noqa: ARG002 - for overrides
        """Whether another round would not change the prior any more."""
        return False

    @abstractmethod
    def adapt(self, setting: Setting, prior: PriorT, rows: GroupedRows) -> tuple[Adapted, ...]:
        """A model for each of the groups, from its rows. A group may have none: then it is the
        model of a group of which nothing is known."""

    @abstractmethod
    def prior_of(self, arrays: Mapping[str, NDArray[Any]]) -> PriorT:
        """The prior that `arrays` were made of."""
