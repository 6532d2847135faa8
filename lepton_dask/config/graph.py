"""The graph of the steps: which takes which, in what order, and nothing in a circle."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lepton_dask.config.mistakes import suggestion
from lepton_dask.config.steps import Draft, Input
from lepton_dask.errors import Mistake

NO_INPUT = frozenset({"read"})
ENDS = frozenset({"train", "meta_train", "evaluate", "predict", "write"})
"""Verbs whose results are kept, although no step may use them."""


@dataclass(frozen=True)
class Graph:
    """The steps, each after its inputs and otherwise in the file's order; and each one's inputs.
    Edges that are wrong are left out."""

    order: tuple[Draft, ...]
    inputs: Mapping[str, tuple[Input, ...]]


def connect(drafts: Sequence[Draft], mistakes: list[Mistake]) -> Graph:
    """The edges: what `from:` names, or the step above; and the tables that a join names."""
    by_name = {draft.name: draft for draft in drafts}
    inputs: dict[str, tuple[Input, ...]] = {}
    for i, draft in enumerate(drafts):
        above = drafts[i - 1] if i else None
        inputs[draft.name] = tuple(_inputs(draft, above, by_name, mistakes))
    order = _order(by_name, inputs, mistakes)
    return Graph(tuple(by_name[name] for name in order), inputs)


def _inputs(
    draft: Draft, above: Draft | None, steps: Mapping[str, Draft], mistakes: list[Mistake]
) -> list[Input]:
    if draft.verb in NO_INPUT:
        if draft.named is not None:
            found = f"'{draft.verb}' takes no step"
            mistakes.append(Mistake((*draft.path, "from"), found, "leave 'from' out", at_key=True))
        return []
    joined = [source for source in draft.joined if _is_there(source, draft, steps, mistakes)]
    if draft.named is None:
        if above is not None:
            return [Input(above.name, None, draft.verb_path), *joined]
        if draft.verb is not None:
            found = "there is no step above to take"
            mistakes.append(
                Mistake(draft.verb_path, found, "begin with a read step, or say 'from:'", True)
            )
        return joined
    named = [source for source in draft.named if _is_there(source, draft, steps, mistakes)]
    return [*named, *joined]


def _is_there(
    source: Input, draft: Draft, steps: Mapping[str, Draft], mistakes: list[Mistake]
) -> bool:
    if source.step == draft.name:
        mistakes.append(Mistake(source.path, "the step takes itself", "name another step"))
        return False
    if source.step not in steps:
        others = [name for name in steps if name != draft.name]
        fix = suggestion(source.step, others, "the steps are")
        mistakes.append(Mistake(source.path, f"unknown step '{source.step}'", fix))
        return False
    return True


def _order(
    steps: Mapping[str, Draft], inputs: dict[str, tuple[Input, ...]], mistakes: list[Mistake]
) -> list[str]:
    """Topological, by Kahn's algorithm, the first in the file first. A cycle is told and cut, so
    that what is behind it can be checked too."""
    number = {name: i for i, name in enumerate(steps)}
    waiting = {name: {source.step for source in inputs[name]} for name in steps}
    users: dict[str, list[str]] = {name: [] for name in steps}
    for name, needed in waiting.items():
        for step in needed:
            users[step].append(name)
    ready = [(number[name], name) for name, needed in waiting.items() if not needed]
    heapq.heapify(ready)
    order: list[str] = []
    while len(order) < len(steps):
        if not ready:
            cut = _cut_cycle(waiting, inputs, mistakes)
            heapq.heappush(ready, (number[cut], cut))
        _, name = heapq.heappop(ready)
        order.append(name)
        del waiting[name]
        for user in users[name]:
            if user in waiting and name in waiting[user]:
                waiting[user].discard(name)
                if not waiting[user]:
                    heapq.heappush(ready, (number[user], user))
    return order


def _cut_cycle(
    waiting: dict[str, set[str]], inputs: dict[str, tuple[Input, ...]], mistakes: list[Mistake]
) -> str:
    """Every step waits: going from a step to one that it waits for comes back to where it was.
    Tells of the cycle, and takes the inputs from the step of it that comes first."""
    name = next(iter(waiting))
    seen: dict[str, None] = {}
    while name not in seen:
        seen[name] = None
        name = min(step for step in waiting[name] if step in waiting)
    walk = list(seen)
    cycle = walk[walk.index(name) :]
    first = min(cycle, key=list(waiting).index)
    start = cycle.index(first)
    around = [*cycle[start:], *cycle[:start], first]
    edge = next(source for source in inputs[first] if source.step == around[1])
    found = f"the steps take each other in a cycle: {' <- '.join(around)}"
    mistakes.append(Mistake(edge.path, found, "let one of them take another step"))
    inputs[first] = ()
    waiting[first] = set()
    return first


def unused(graph: Graph) -> list[Mistake]:
    """Warnings: results that no step uses and that are not kept either."""
    used = {source.step for inputs in graph.inputs.values() for source in inputs}
    return [
        Mistake(draft.path, "nobody uses this step's result", "name it in a 'from:'", at_key=True)
        for draft in graph.order
        if draft.name not in used and draft.verb is not None and draft.verb not in ENDS
    ]
