"""The profile pass: a table's profile, and how likely each chunk is under the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from distributed import Future

from lepton_dask.data.content import SourceFile
from lepton_dask.data.likelihood import (
    LogLikelihood,
    TableModel,
    Unlikely,
    log_likelihood,
    table_model,
    unlikely_chunks,
)
from lepton_dask.data.profile import Profile, merge_profiles, profile_table
from lepton_dask.data.tables import Partition
from lepton_dask.learn.dispatch import Asked
from lepton_dask.run.values import PartName, PartTable, TableValue
from lepton_dask.run.work import Work


@dataclass(frozen=True)
class SourceChunk:
    """A chunk of a file, whichever parts its rows went to; `index` counts from 0 in its file."""

    file: SourceFile
    index: int


@dataclass(frozen=True)
class ChunkLikelihood:
    """How likely a chunk's rows are, on average, under the whole; `unlikely` where it is reported.

    `log_likelihood` is None for a chunk without rows.
    """

    file: str
    chunk: int
    rows: int
    log_likelihood: float | None
    unlikely: Unlikely | None

    def to_json(self) -> dict[str, object]:
        """An entry of profile.json's `chunks`."""
        return {
            "file": self.file,
            "chunk": self.chunk,
            "rows": self.rows,
            "log_likelihood": self.log_likelihood,
            "reported": self.unlikely is not None,
        }

    def __str__(self) -> str:
        """The warning for a chunk that is reported."""
        assert self.unlikely is not None
        columns = ", ".join(f"'{name}' {-cost:.2f}" for name, cost in self.unlikely.columns.items())
        return (
            f"'{self.file}', chunk {self.chunk}: its rows are far less likely than those of the "
            f"other chunks (log-likelihood {self.unlikely.a_row:.2f} a row, the median is "
            f"{self.unlikely.median:.2f}; by column most of all {columns}): "
            "is the file corrupt, or of another kind?"
        )


@dataclass(frozen=True)
class Profiled:
    """What the profile pass found of all rows, of those to train on, and of each chunk."""

    whole: Profile
    training: Profile
    chunks: tuple[ChunkLikelihood, ...]

    def to_json(self) -> dict[str, object]:
        """A step's entry in profile.json."""
        return {
            "all": self.whole.to_json(),
            "train": self.training.to_json(),
            "chunks": [chunk.to_json() for chunk in self.chunks],
        }


@dataclass(frozen=True)
class Profiling:
    """The profiles, while the chunks' likelihoods are still computed."""

    whole: Profile
    training: Profile
    model: TableModel
    profiles: Mapping[PartName, Sequence[Future]]
    likelihoods: Mapping[PartName, Asked]

    def finish(self, work: Work, table: TableValue) -> Profiled:
        """Warns of chunks that are far less likely than the rest."""
        chunks = _likelihoods(work, table, self)
        for chunk in chunks:
            if chunk.unlikely is not None:
                work.warn(str(chunk))
        return Profiled(self.whole, self.training, chunks)


def profile_parts(work: Work, table: TableValue) -> Profiled:
    """One pass over the rows; warns of chunks that are far less likely than the rest."""
    return begin_profile(work, table).finish(work, table)


def begin_profile(work: Work, table: TableValue) -> Profiling:
    """One pass over the rows. Nothing that is prepared depends on how likely the chunks are."""
    by_part = {name: _profiles(work, part) for name, part in table.parts.items()}
    work.settle([future for futures in by_part.values() for future in futures], "chunks profiled")
    begun = {keys: made for part in table.parts.values() for keys, made in part.merged.items()}
    merged = work.reduce("merge", merge_profiles, list(by_part.values()), begun)
    parts = dict(zip(by_part, merged, strict=True))
    whole = reduce(merge_profiles, parts.values())
    model = table_model(whole)
    likelihoods = {
        name: work.dispatch.ask_where_they_lie(
            "likelihood", partial(log_likelihood, model), profiles
        )
        for name, profiles in by_part.items()
    }
    return Profiling(whole, parts[table.training()], model, by_part, likelihoods)


def _profiles(work: Work, part: PartTable) -> list[Future]:
    """One of each partition: begun when it was read, or now."""
    others = [rows for rows in part.partitions if rows.key not in part.profiles]
    begun = {
        **part.profiles,
        **{
            rows.key: made
            for rows, made in zip(others, work.map("profile", _profile, others), strict=True)
        },
    }
    return [begun[rows.key] for rows in part.partitions]


def _likelihoods(
    work: Work, table: TableValue, profiling: Profiling
) -> tuple[ChunkLikelihood, ...]:
    """A chunk's rows lie in every part that a split made of it: their log-likelihoods add up."""
    sums: dict[SourceChunk, LogLikelihood] = {}
    for name, asked in profiling.likelihoods.items():
        found: list[LogLikelihood] = work.dispatch.answers(asked)
        for source, likelihood in zip(_sources(table.parts[name]), found, strict=True):
            sums[source] = sums[source] + likelihood if source in sums else likelihood
    unlikely = {each.index: each for each in unlikely_chunks(profiling.model, list(sums.values()))}
    return tuple(
        ChunkLikelihood(
            file=source.file.shown,
            chunk=source.index,
            rows=likelihood.rows,
            log_likelihood=likelihood.a_row if likelihood.rows else None,
            unlikely=unlikely.get(i),
        )
        for i, (source, likelihood) in enumerate(sums.items())
    )


def _sources(part: PartTable) -> Iterator[SourceChunk]:
    """Where each partition comes from. What steps do to rows leaves the partitions' order."""
    seen: Counter[SourceFile] = Counter()
    for file in part.files:
        yield SourceChunk(file, seen[file])
        seen[file] += 1


def _profile(rows: Partition) -> Profile:
    return profile_table(rows.table)
