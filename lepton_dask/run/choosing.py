"""The prepared columns that a training learns from, where it names some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from lepton_dask.data.prepared import Prepared
from lepton_dask.data.selectors import select
from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.chosen_columns import Chosen, Span, with_columns
from lepton_dask.run.values import FeaturesValue
from lepton_dask.run.work import Work


def chosen_features(
    work: Work, selectors: Sequence[str] | None, features: FeaturesValue
) -> FeaturesValue:
    """The prepared table with the columns that the selectors match, all of them where there are no
    selectors. Raises UserError where nothing is left to learn from.

    The plan has checked the selectors against the prepared columns; what has been left out since,
    because it never changes or is an id, is missing here.
    """
    if selectors is None:
        return features
    prepared = features.prepared
    names = {name for selector in selectors for name in select(selector, prepared.columns, ())[0]}
    if not names:
        found = "no column is left to learn from"
        raise UserError([Mistake((*work.at, "features"), found, "name others")])
    if names == set(prepared.columns):
        return features
    chosen, kept = _chosen(prepared, names), _kept(prepared, names)
    shards = {
        part: with_columns(work.dispatch, each, chosen, kept.features)
        for part, each in features.shards.items()
    }
    return replace(features, prepared=kept, shards=shards)


def _kept(prepared: Prepared, names: set[str]) -> Prepared:
    return replace(
        prepared,
        numbers=tuple(each for each in prepared.numbers if each.column in names),
        codes=tuple(each for each in prepared.codes if each.column in names),
        texts=tuple(each for each in prepared.texts if each.column in names),
    )


def _chosen(prepared: Prepared, names: set[str]) -> Chosen:
    bounds = np.cumsum([0, *(len(text.touched) for text in prepared.texts)]).tolist()
    spans = [Span(start, stop) for start, stop in pairwise(bounds)]
    return Chosen(
        tuple(p for p, each in enumerate(prepared.numbers) if each.column in names),
        tuple(q for q, each in enumerate(prepared.codes) if each.column in names),
        tuple(
            span for span, each in zip(spans, prepared.texts, strict=True) if each.column in names
        ),
    )
