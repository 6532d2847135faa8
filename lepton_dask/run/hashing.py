"""The pass that hashed texts take before they are fitted: which buckets the training rows touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat

from lepton_dask.data.arrow import to_columns
from lepton_dask.data.hashed_text import NGrams, TouchedBuckets
from lepton_dask.data.prepare import Hash
from lepton_dask.data.tables import Partition
from lepton_dask.data.treatments import Treated
from lepton_dask.run.values import PartTable
from lepton_dask.run.work import Work

_Touched = Mapping[str, TouchedBuckets]


def touched_buckets(work: Work, treatments: Sequence[Treated], training: PartTable) -> _Touched:
    """By hashed column the buckets that the training rows touch: one task a chunk, merged on the
    workers; no task where nothing is hashed."""
    hashed = {
        each.column: each.treatment.ngrams
        for each in treatments
        if isinstance(each.treatment, Hash)
    }
    if not hashed:
        return {}
    chunks = work.map("hash", _touched, training.partitions, repeat(hashed))
    work.settle(chunks, "chunks hashed")
    [merged] = work.reduce("buckets", _merged, [chunks])
    return dict(merged)


def _touched(rows: Partition, hashed: Mapping[str, NGrams]) -> _Touched:
    columns = to_columns(rows.table, tuple(hashed))
    return {column: ngrams.touched(columns[column]) for column, ngrams in hashed.items()}


def _merged(a: _Touched, b: _Touched) -> _Touched:
    return {column: touched.merged(b[column]) for column, touched in a.items()}
