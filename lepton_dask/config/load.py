"""Loading a pipeline file and a configuration file: every mistake at once, or typed nodes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lepton_dask.config.cluster import ClusterConfig
from lepton_dask.config.defaults import check_defaults, spread
from lepton_dask.config.document import Document, read_mapping
from lepton_dask.config.emit import to_yaml
from lepton_dask.config.explain import build
from lepton_dask.config.extends import read_extended
from lepton_dask.config.flow import check_flow
from lepton_dask.config.graph import Graph, connect, unused
from lepton_dask.config.mistakes import in_order
from lepton_dask.config.nodes import MappingNode, ScalarNode, plain, without
from lepton_dask.config.overrides import override
from lepton_dask.config.pipeline import TOP_KEYS, Heading, Pipeline, Step
from lepton_dask.config.steps import read_steps
from lepton_dask.config.variables import resolve
from lepton_dask.config.wording import unknown_key
from lepton_dask.errors import Mistake, UserError
from lepton_dask.suggest import nearest


@dataclass(frozen=True)
class LoadedPipeline:
    """A pipeline that is fully valid as far as its file says.

    `document` places later mistakes. `secrets` are values of the environment that the file refers
    to. `as_run` is the YAML text with the overrides in it and the references left as they are.
    `warnings` did not stop it.
    """

    pipeline: Pipeline
    document: Document
    secrets: tuple[str, ...]
    as_run: str
    file: str
    warnings: tuple[Mistake, ...]


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration, and the folder that its relative paths start from."""

    config: ClusterConfig
    document: Document | None
    folder: Path
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class DraftPipeline:
    """A pipeline file as far as it is sound, and all that is wrong with it.

    `sound` has the steps that bear no mistake and take only such steps: what can still be checked
    against the data.
    """

    sound: LoadedPipeline
    mistakes: tuple[Mistake, ...]


def load_pipeline(
    path: Path, *, overrides: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> LoadedPipeline:
    """The pipeline in the file at `path`, with `overrides` (`steps.model.train.penalty.l2=1e-3`).

    Raises UserError with all mistakes, placed and in the file's order.
    """
    draft = draft_pipeline(path, overrides=overrides, environment=environment)
    if draft.mistakes:
        raise UserError(draft.mistakes)
    return draft.sound


def draft_pipeline(
    path: Path, *, overrides: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> DraftPipeline:
    """The same without raising for what stands in the file.

    Raises UserError for a file that cannot be read at all.
    """
    written = read_extended(path)
    changed, refused = override(written.root, overrides)
    resolved = resolve(changed, environment)
    document = Document(spread(resolved.root), resolved.secrets)
    said = [*written.mistakes, *refused, *resolved.mistakes]
    mistakes: list[Mistake] = []
    heading, graph = _check(document.root, mistakes)
    sound = LoadedPipeline(
        pipeline=_assemble(heading, graph, _unsound([*said, *mistakes])),
        document=document,
        secrets=_longest_first(resolved.secrets),
        as_run=to_yaml(plain(changed)) if overrides or written.extends else written.text,
        file=document.file,
        warnings=tuple(in_order(map(document.locate, unused(graph)), document.file)),
    )
    return DraftPipeline(sound, tuple(document.placed(said, mistakes)))


def load_config(path: Path | None, *, environment: Mapping[str, str] = os.environ) -> LoadedConfig:
    """The configuration in the file at `path`; None gives the defaults.

    Raises UserError with all mistakes, placed and in the file's order.
    """
    if path is None:
        return LoadedConfig(ClusterConfig(), None, Path())
    written = read_mapping(path)
    resolved = resolve(written.root, environment)
    document = Document(resolved.root, resolved.secrets)
    said = [*written.mistakes, *resolved.mistakes]
    mistakes: list[Mistake] = []
    config = build(ClusterConfig, document.root, (), mistakes)
    if config is None or said:
        raise UserError(document.placed(said, mistakes))
    return LoadedConfig(config, document, path.parent, _longest_first(resolved.secrets))


def _check(root: MappingNode, mistakes: list[Mistake]) -> tuple[Heading | None, Graph]:
    """Everything that the file alone can be wrong in."""
    unknown = [key for key in root.entries if key not in TOP_KEYS]
    others = [key for key in root.entries if key not in Heading.model_fields]
    found: list[Mistake] = []
    heading = build(Heading, without(root, *others), (), found)
    drafts = read_steps(root, found)
    misspelt = {(nearest(key, TOP_KEYS),) for key in unknown}
    mistakes += [unknown_key((key,), TOP_KEYS) for key in unknown]
    mistakes += [m for m in found if m.found != "missing key" or m.path not in misspelt]
    mistakes += check_defaults(root)
    mistakes += _secret_name(root)
    graph = connect(drafts, mistakes)
    check_flow(graph, mistakes)
    return heading, graph


def _secret_name(root: MappingNode) -> list[Mistake]:
    """A name from the environment would be written into the run folder's name."""
    entry = root.entries.get("name")
    if entry is None or not isinstance(entry.value, ScalarNode) or not entry.value.secret:
        return []
    return [
        Mistake(("name",), "comes from the environment, which is never written", "write it out")
    ]


def _unsound(mistakes: Iterable[Mistake]) -> set[str]:
    """The steps that some mistake is about."""
    return {str(m.path[1]) for m in mistakes if len(m.path) > 1 and m.path[0] == "steps"}


def _assemble(heading: Heading | None, graph: Graph, unsound: set[str]) -> Pipeline:
    steps = []
    unsound = set(unsound)
    for draft in graph.order:
        inputs = graph.inputs[draft.name]
        if not unsound.isdisjoint((draft.name, *(source.step for source in inputs))):
            unsound.add(draft.name)
            continue
        # Whatever leaves a draft without one of these has been told as a mistake of its step.
        assert draft.verb is not None
        assert draft.action is not None
        assert draft.settings is not None
        steps.append(
            Step(
                name=draft.name,
                verb=draft.verb,
                action=draft.action,
                inputs=tuple(str(source) for source in inputs),
                priority=draft.settings.priority,
                resources=draft.settings.resources,
                retries=draft.settings.retries,
            )
        )
    heading = heading or Heading(name="unnamed")
    return Pipeline(name=heading.name, seed=heading.seed, steps=tuple(steps))


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    """In this order each may be replaced in a text without spoiling the next."""
    return tuple(sorted(secrets, key=len, reverse=True))
