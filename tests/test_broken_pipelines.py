"""Pipelines that ship, broken at random: refused with a place in the file, never a traceback.

Every break here is one for certain, whatever the rest of the file says; the reason stands beside
each. Several breaks in one file stay broken: the last is a break of the file that the others made.
"""

from __future__ import annotations

import copy
import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import test_grammar_files
from conftest import REPOSITORY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_dask.config.compose import compose
from lepton_dask.config.emit import to_yaml
from lepton_dask.config.mistakes import render
from lepton_dask.config.nodes import Source, plain
from lepton_dask.errors import Mistake, UserError
from lepton_dask.plan import reading
from lepton_dask.run.pipeline import load_and_plan

NOWHERE = "zq_nothing"
"""No column, step, variable or file is called that."""

OPEN = frozenset(
    {"steps", "vars", "columns", "rename", "types", "resources", "outputs", "missing_values", "on"}
)
"""Mappings whose keys are the user's own names."""

COLUMN_KEYS = frozenset(
    {
        *("stratify", "group", "time", "order", "column", "target", "weight", "id", "by"),
        *(
            "exclude",
            "drop",
            "require",
            "drop_missing",
            "drop_duplicates",
            "baselines",
            "better_than",
        ),
    }
)
"""Keys whose values name columns, one or a list."""

REQUIRED = {"read": "path", "prepare": "target", "train": "loss", "evaluate": "metrics"}
TAKES = {
    **{verb: {"table"} for verb in ("clean", "derive", "join", "split", "prepare")},
    "train": {"columns"},
    "evaluate": {"model"},
    "predict": {"model", "scores"},
    "write": {"table", "predictions"},
}
YIELDS = {
    **dict.fromkeys(("read", "clean", "derive", "join", "split"), "table"),
    **{"prepare": "columns", "train": "model", "evaluate": "scores", "predict": "predictions"},
}
OUT_OF_RANGE = {
    **dict.fromkeys(("l1", "l2", "seed", "retries", "tolerance", "minimum_count"), -1),
    **dict.fromkeys(("max_passes", "learning_rate", "patience", "history"), 0),
}

Document = dict[str, Any]
Keys = tuple[str | int, ...]


class Break(NamedTuple):
    """What is broken, in words, and how: `apply` changes a document in place."""

    what: str
    apply: Callable[[Document], None]


def thawed(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: thawed(value) for key, value in data.items()}
    return [thawed(item) for item in data] if isinstance(data, tuple) else data


def places(data: Any, above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Every value of a document with its path."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*above, key), value
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def at(data: Any, path: Keys) -> Any:
    for key in path:
        data = data[key]
    return data


def put(path: Keys, value: Any) -> Callable[[Document], None]:
    def apply(document: Document) -> None:
        at(document, path[:-1])[path[-1]] = copy.deepcopy(value)

    return apply


def remove(path: Keys) -> Callable[[Document], None]:
    def apply(document: Document) -> None:
        del at(document, path[:-1])[path[-1]]

    return apply


def rename(path: Keys, new: str) -> Callable[[Document], None]:
    """Another key for the same value, in the same place."""

    def apply(document: Document) -> None:
        mapping = at(document, path[:-1])
        items = [(new if key == path[-1] else key, value) for key, value in mapping.items()]
        mapping.clear()
        mapping.update(items)

    return apply


def is_free(path: Keys) -> bool:
    """Whether a value stands where anything may: below `vars`, or as an amount of a resource."""
    return path[0] == "vars" or "resources" in path[:-1]


def misspelt_keys(document: Document) -> Iterator[Break]:
    """No key begins with x, and where keys are the schema's own an unknown one is a mistake."""
    for path, _ in places(document):
        key, parent = path[-1], path[-2] if len(path) > 1 else None
        if isinstance(key, str) and parent not in OPEN and not is_free(path):
            yield Break(f"{path}: misspelt", rename(path, "x" + key[1:]))


def other_types(document: Document) -> Iterator[Break]:
    """A list of lists stands nowhere; nor does a mapping with the key `zq_nothing`, but of the
    user's own names; nor a word where a number is; nor a number where a mapping or a list is."""
    for path, value in places(document):
        if is_free(path) or path == ("vars",) or path[-1] == "resources":
            continue
        others: list[Any] = [[[0]], {NOWHERE: 1}]
        if isinstance(value, bool | int | float):
            others.append(NOWHERE)
        if isinstance(value, dict | list):
            others.append(7.5)
        for other in others:
            yield Break(f"{path}: {other!r} for {value!r}", put(path, other))


def out_of_range(document: Document) -> Iterator[Break]:
    for path, _ in places(document):
        if path[-1] in OUT_OF_RANGE and not is_free(path):
            value = OUT_OF_RANGE[path[-1]]
            yield Break(f"{path}: {value}", put(path, value))


def missing_keys(document: Document) -> Iterator[Break]:
    """Keys that must be there, and that no default can bring."""
    for key in ("name", "steps"):
        if key in document and "extends" not in document:
            yield Break(f"{key}: removed", remove((key,)))
    for name, step in steps_of(document).items():
        for verb, key in REQUIRED.items():
            node = step.get(verb)
            if isinstance(node, dict) and key in node and verb not in document.get("defaults", {}):
                yield Break(f"{name}.{verb}.{key}: removed", remove(("steps", name, verb, key)))


def steps_of(document: Document) -> dict[str, Document]:
    """The steps that are mappings still."""
    steps = document.get("steps")
    found = steps.items() if isinstance(steps, dict) else ()
    return {name: step for name, step in found if isinstance(step, dict)}


def references(document: Document) -> Iterator[tuple[Keys, str]]:
    """Where a step is named, and by what."""
    for path, value in places(document):
        named = "from" in path[2:4] or path[-1] == "with"
        if path[0] == "steps" and named and isinstance(value, str):
            yield path, value


def cut_references(document: Document) -> Iterator[Break]:
    """A step that is not there; a step that takes itself; a part that no table has; a variable that
    is not there; a reference without its end."""
    for path, value in references(document):
        for other in (NOWHERE, f"{value[:-1]}zq", str(path[1]), f"{value}.{NOWHERE}", "x.y.z"):
            yield Break(f"{path}: {other} for {value}", put(path, other))
    for name, step in steps_of(document).items():
        if "read" in step:
            yield Break(f"{name}: a read takes no step", put(("steps", name, "from"), name))
    for path, value in places(document):
        if isinstance(value, str) and "${" in value and path[0] != "vars":
            yield Break(f"{path}: cut", put(path, value[: value.index("${") + 3]))
            yield Break(f"{path}: no such variable", put(path, f"${{vars.{NOWHERE}}}"))


def removed_steps(document: Document) -> Iterator[Break]:
    """A step that another one names; one that leaves the step below without what its verb takes; a
    split without which there is no part that a step asks for."""
    named = {value.partition(".")[0] for _, value in references(document)}
    steps = list(steps_of(document).items())
    splits = [name for name, step in steps if "split" in step]
    for i, (name, step) in enumerate(steps):
        above = verb_of(steps[i - 1][1]) if i else None
        below = steps[i + 1][1] if i + 1 < len(steps) else {}
        wanted = TAKES.get(verb_of(below) or "", set())
        starved = bool(wanted) and "from" not in below and YIELDS.get(above or "") not in wanted
        undivided = [name] == splits and asks_for_parts(steps) and not official_parts(steps)
        if name in named or starved or ("split" in step and undivided):
            yield Break(f"{name}: removed", remove(("steps", name)))


def verb_of(step: Document) -> str | None:
    return next((key for key in step if key in YIELDS or key in TAKES), None)


def asks_for_parts(steps: list[tuple[str, Document]]) -> bool:
    asking = {"evaluate": ("threshold", "choose", "goals"), "train": ("goal", "early_stopping")}
    return any(
        "predict" in step
        or any(step[verb].get(key) for verb, keys in asking.items() if verb in step for key in keys)
        for _, step in steps
        if all(isinstance(step.get(verb, {}), dict) for verb in asking)
    )


def official_parts(steps: list[tuple[str, Document]]) -> bool:
    reads = [step["read"] for _, step in steps if isinstance(step.get("read"), dict)]
    return any(isinstance(read.get("path"), dict) for read in reads)


def misspelt_columns(document: Document) -> Iterator[Break]:
    """A column that is not there, or an expression that matches none."""
    for path, value in places(document):
        if path[0] != "steps" or len(path) < 4:
            continue
        within = path[-2] if isinstance(path[-1], int) else path[-1]
        if within in COLUMN_KEYS and isinstance(value, str) and value not in ("all", "mean"):
            yield Break(f"{path}: no such column", put(path, misspelt(value)))
        if path[2] == "prepare" and path[3] == "columns" and len(path) == 5:
            yield Break(f"{path}: matches nothing", rename(path, misspelt(str(path[-1]))))
        if path[2:4] in (("clean", "rename"), ("read", "types")) and len(path) == 5:
            yield Break(f"{path}: no such column", rename(path, f"{path[-1]}zq"))


def misspelt(selector: str) -> str:
    return f"^{NOWHERE}$" if selector.startswith("^") else f"{selector}zq"


def broken_expressions(document: Document) -> Iterator[Break]:
    """An expression of a column that is not there, and one that ends too early."""
    for path, value in places(document):
        is_one = path[-1] in ("filter", "expression") or path[2:4] == ("derive", "columns")
        if path[0] == "steps" and is_one and isinstance(value, str):
            yield Break(f"{path}: no such column", put(path, f"{NOWHERE} + 1"))
            yield Break(f"{path}: ends early", put(path, f"({value}"))


def lost_files(document: Document) -> Iterator[Break]:
    for path, value in places(document):
        is_path = path[2:4] == ("read", "path")
        if path[0] == "steps" and is_path and isinstance(value, str):
            yield Break(f"{path}: no such file", put(path, f"data/{NOWHERE}.csv"))


def emptied(document: Document) -> Iterator[Break]:
    """A list or a mapping that must hold something."""
    for path, _ in places(document):
        if path == ("steps",) or path[2:] in (("read", "path"), ("from",), ("evaluate", "metrics")):
            for nothing in ({}, []):
                yield Break(f"{path}: {nothing}", put(path, nothing))


def second_verbs(document: Document) -> Iterator[Break]:
    for name, step in steps_of(document).items():
        verb = "split" if "split" not in step else "predict"
        if verb_of(step) is not None:
            yield Break(f"{name}: and {verb}", put(("steps", name, verb), {"test": 0.5}))


KINDS: tuple[Callable[[Document], Iterator[Break]], ...] = (
    misspelt_keys,
    other_types,
    out_of_range,
    missing_keys,
    cut_references,
    removed_steps,
    misspelt_columns,
    broken_expressions,
    lost_files,
    emptied,
    second_verbs,
)


@functools.cache
def texts() -> dict[str, str]:
    """The pipelines that ship, and those that the grammar prints."""
    shipped = {path.stem: path.read_text() for path in (REPOSITORY / "pipelines").glob("*.yaml")}
    cells = f"[{', '.join(test_grammar_files.CELLS)}]"
    printed = {
        f"{name} of the grammar": text.replace("CELLS", cells)
        for name, text in vars(test_grammar_files).items()
        if isinstance(text, str) and text.startswith("name: ")
    }
    return dict(sorted((shipped | printed).items()))


def document_of(text: str) -> Document:
    root = compose(Source("a.yaml", text)).root
    data = thawed(plain(root)) if root is not None else {}
    assert isinstance(data, dict)
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with all pipelines, for those that extend others; `data/` is in the current one.
    Heads of files are read once."""
    made = tmp_path_factory.mktemp("broken")
    shutil.copytree(REPOSITORY / "pipelines", made, dirs_exist_ok=True)
    heads: dict[str, object] = {}
    read_head = reading.read_head

    def once(read: Any, file: Any) -> Any:
        key = repr((read, file))
        if key not in heads:
            heads[key] = read_head(read, file)
        return heads[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read_head", once)
        patch.chdir(REPOSITORY)
        yield made


@functools.cache
def sound(folder: Path) -> dict[str, Document]:
    """The documents that are valid here: some read tables that do not ship."""
    found = {}
    for name, text in texts().items():
        document = document_of(text)
        path = folder / "sound.yaml"
        path.write_text(to_yaml(document))
        if not mistakes_of(path):
            found[name] = document
    return found


def test_what_ships_with_its_table_is_sound_before_it_is_broken(folder: Path) -> None:
    here = {"article", "bakeoff", "financial_analysis", "medical_diagnosis", "voice_assistant"}
    assert here <= set(sound(folder))


def test_one_that_is_not_broken_would_be_noticed(folder: Path) -> None:
    text = to_yaml(sound(folder)["medical_diagnosis"])
    with pytest.raises(AssertionError, match="not refused"):
        refused(folder / "broken.yaml", text, [])


@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_broken_pipeline_is_refused_with_a_place_in_the_file(
    folder: Path, data: st.DataObject
) -> None:
    documents = sound(folder)
    document = copy.deepcopy(documents[data.draw(st.sampled_from(sorted(documents)))])
    done = []
    for _ in range(data.draw(st.integers(1, 3))):
        kinds = [breaks for kind in KINDS if (breaks := list(kind(document)))]
        if not kinds:
            break
        chosen = data.draw(st.sampled_from(data.draw(st.sampled_from(kinds))))
        chosen.apply(document)
        done.append(chosen.what)
    refused(folder / "broken.yaml", to_yaml(document), done)


def refused(path: Path, text: str, done: list[str]) -> None:
    """Whether the pipeline is refused, and every mistake has a place that is there."""
    path.write_text(text)
    mistakes = mistakes_of(path)
    assert mistakes, f"not refused: {done}\n{text}"
    lines = text.splitlines()
    for mistake in mistakes:
        place = mistake.place
        assert place is not None, (done, str(mistake))
        assert place.file == str(path), (done, str(mistake))
        assert 1 <= place.line <= len(lines), (done, str(mistake))
        assert 1 <= place.column <= len(lines[place.line - 1]) + 1, (done, str(mistake))
        assert mistake.found, done
        assert "Input should" not in render(mistake)


def mistakes_of(path: Path) -> tuple[Mistake, ...]:
    """What is wrong with a file; anything that is raised but UserError is a bug."""
    try:
        load_and_plan(path)
    except UserError as error:
        return error.mistakes
    return ()
