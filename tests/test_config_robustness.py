"""Pipelines broken at random: refused with a place in the file, or loaded; never anything else."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.config.compose import compose
from lepton_dask.config.emit import to_yaml
from lepton_dask.config.load import LoadedPipeline, load_pipeline
from lepton_dask.config.mistakes import render
from lepton_dask.config.nodes import MappingNode, Source, plain
from lepton_dask.errors import UserError

PIPELINE = """\
name: bakeoff
seed: 3
vars: {l2: 1.0e-4, deep: {a: [1, 2]}}
defaults: {read: {missing_values: ["?"]}, train: {max_passes: 50}}
priority: high
resources: {memory: 1GiB}
steps:
  people:
    read:
      path: "${env.INCOME:-data/adult.parquet}"
      types: {age: integer, born: {timestamp: "%Y", zone: UTC}}
  tidy: {clean: {drop: ["^x.*$"], rename: {a: b}, drop_missing: all}}
  parts: {split: {train: 0.7, validation: 0.1, test: 0.2, stratify: income}}
  features:
    prepare:
      target: {column: income, positive: ">50K"}
      numeric: {impute: {constant: 0}, scale: standard}
      columns: {"^capital-.*$": {transform: log1p}, b: {as: category, minimum_count: 3}}
  quick:
    from: features
    train:
      loss: logistic
      optimizer: {lbfgs: {history: 5}}
      penalty: {l2: "${vars.l2}"}
      goal: {metric: roc_auc, at_least: 0.9}
    priority: {importance: critical, urgency: low}
    retries: 2
  plain: {from: features, train: {loss: logistic, optimizer: auto}}
  best:
    from: [quick, plain]
    evaluate:
      metrics: [roc_auc, log_loss]
      goals: [{metric: roc_auc, part: test, at_least: 0.5}]
      choose: {metric: roc_auc, part: validation}
  out: {predict: {part: test}}
  save: {write: {path: predictions.parquet}}
"""
ENVIRONMENT = {"HOME": "hunter22"}
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1e300,
    "",
    "1e-3",
    "no",
    "${vars.l2}",
    "${vars.nope}",
    "${vars.deep}",
    "${env.NOPE}",
    "${env.HOME}",
    "${",
    "features",
    "parts.test",
    "save",
    [],
    [1, "a"],
    [["features"]],
    {},
    {"a": 1},
    {"column": "x"},
    {"clean": {}},
]


def document(text: str) -> Any:
    root = compose(Source("a.yaml", text)).root
    assert isinstance(root, MappingNode)
    return plain(root)


@functools.cache
def sound() -> Any:
    """The pipeline before anything is broken; copied before it is."""
    return thawed(document(PIPELINE))


def thawed(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: thawed(value) for key, value in data.items()}
    return [thawed(item) for item in data] if isinstance(data, tuple) else data


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every (collection, key) of a document."""
    keys = list(data) if isinstance(data, dict) else range(len(data))
    for key in keys:
        yield data, key
        if isinstance(data[key], dict | list):
            yield from places(data[key])


def broken(draw: st.DrawFn) -> Any:
    data = copy.deepcopy(sound())
    for _ in range(draw(st.integers(1, 3))):
        spots = list(places(data))
        if not spots:
            break
        collection, key = draw(st.sampled_from(spots))
        match draw(st.sampled_from(["value", "remove", "misspell", "cut", "move"])):
            case "value":
                collection[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
            case "remove":
                del collection[key]
            case "misspell" if isinstance(collection, dict):
                at = draw(st.integers(0, len(key)))
                collection[key[:at] + draw(st.sampled_from("ax.$ _")) + key[at + 1 :]] = (
                    collection.pop(key)
                )
            case "cut" if isinstance(collection[key], str):
                collection[key] = collection[key][: draw(st.integers(0, len(collection[key])))]
            case "move" if isinstance(collection, dict):
                collection[key] = collection.pop(key)
    return data


def loaded_or_refused(path: Path, overrides: tuple[str, ...]) -> LoadedPipeline | UserError:
    try:
        return load_pipeline(path, overrides=overrides, environment=ENVIRONMENT)
    except UserError as error:
        return error


def check(text: str, overrides: tuple[str, ...] = ()) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.yaml"
        path.write_bytes(text.encode())
        outcome = loaded_or_refused(path, overrides)
        if isinstance(outcome, LoadedPipeline):
            assert outcome.pipeline.steps
            assert "hunter22" not in outcome.as_run
            return
        assert outcome.mistakes
        for mistake in outcome.mistakes:
            assert mistake.place is not None
            assert mistake.place.file in (str(path), "--set")
            assert 1 <= mistake.place.line <= text.count("\n") + 1
            said = render(mistake)
            assert "hunter22" not in said
            for jargon in ("Input should", "Extra inputs", "validator", "pydantic"):
                assert jargon not in said


@settings(max_examples=500, deadline=None)
@given(data=st.composite(broken)())
def test_a_pipeline_with_broken_values_is_refused_in_a_place_or_loads(data: Any) -> None:
    check(to_yaml(data))


@settings(max_examples=200, deadline=None)
@given(
    start=st.integers(0, len(PIPELINE)),
    length=st.integers(0, 30),
    insert=st.text(alphabet="abc:{}[]\"'$&*!-#%| \n\t0.", max_size=4),
)
def test_a_pipeline_with_broken_text_is_refused_in_a_place_or_loads(
    start: int, length: int, insert: str
) -> None:
    check(PIPELINE[:start] + insert + PIPELINE[start + length :])


@settings(max_examples=200, deadline=None)
@given(
    path=st.sampled_from(
        [
            "seed",
            "steps",
            "steps.quick",
            "steps.quick.train.penalty.l2",
            "steps.quick.train.optimizer.lbfgs.history",
            "steps.best.from.0",
            "vars.l2",
            "defaults.read",
            "x.y",
            "",
        ]
    ),
    value=st.sampled_from(VALUES).map(lambda value: to_yaml({"v": value})[3:].strip())
    | st.text(max_size=12),
)
def test_a_pipeline_with_a_broken_override_is_refused_in_a_place_or_loads(
    path: str, value: str
) -> None:
    check(PIPELINE, (f"{path}={value}",))
