"""References, overrides, defaults and files that extend others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.config.compose import compose
from lepton_dask.config.emit import to_yaml
from lepton_dask.config.load import LoadedPipeline, load_pipeline
from lepton_dask.config.nodes import MappingNode, Source, plain
from lepton_dask.config.overrides import override
from lepton_dask.config.secrets import redact
from lepton_dask.config.variables import Resolved, resolve
from lepton_dask.errors import UserError

PIPELINE = """\
name: income
steps:
  people: {read: {path: people.csv}}
  parts: {split: {train: 0.7, validation: 0.3}}
  features: {prepare: {target: income}}
  model: {train: {loss: logistic, penalty: {l2: 1e-3}}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, *overrides: str, **environment: str) -> LoadedPipeline:
    Path("a.yaml").write_text(text)
    return load_pipeline(Path("a.yaml"), overrides=overrides, environment=environment)


def told(text: str, *overrides: str, **environment: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load(text, *overrides, **environment)
    return [str(mistake) for mistake in caught.value.mistakes]


def tree(text: str) -> MappingNode:
    root = compose(Source("a.yaml", text)).root
    assert isinstance(root, MappingNode)
    return root


def resolved(text: str, **environment: str) -> Resolved:
    return resolve(tree(text), environment)


KEPT = [
    ("1e-4", 1e-4),
    ("'1e-4'", "1e-4"),
    ("true", True),
    ("no", "no"),
    ("[1, x]", (1, "x")),
    ("{a: {b: 2}}", {"a": {"b": 2}}),
    ("null", None),
]


def value_of(reference: str, variables: str = "{}", **environment: str) -> object:
    outcome = resolved(f"vars: {variables}\na: '{reference}'\n", **environment)
    assert not outcome.mistakes
    return plain(outcome.root.entries["a"].value)


@pytest.mark.parametrize(("written", "value"), KEPT)
def test_a_value_that_is_one_reference_keeps_its_type(written: str, value: object) -> None:
    found = value_of("${vars.x}", f"{{x: {written}}}")
    assert found == value
    assert type(found) is type(value)


def test_references_within_a_text_are_put_in_as_text() -> None:
    assert value_of("d/${vars.n}/${vars.t}.csv", "{n: 1e-3, t: true}") == "d/0.001/true.csv"


def test_variables_refer_to_variables_and_into_mappings() -> None:
    assert value_of("${vars.a.b}", "{x: 3, a: {b: '${vars.x}'}}") == 3


def test_two_dollars_are_one_and_a_single_dollar_is_itself() -> None:
    assert value_of("$${vars.x} ^a$ $5 $$") == "${vars.x} ^a$ $5 $"


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("${env.N}", 7),
        ("${env.PATH_}", "a b"),
        ("${env.ZIP}", "012"),
        ("${env.NOT_THERE:-1e-3}", 1e-3),
        ("${env.EMPTY:-}", None),
        ("${env.EMPTY:-x}", "x"),
        ("${env.N:-x}", 7),
        ("${env.NOT_THERE:-data/a:b.csv}", "data/a:b.csv"),
    ],
)
def test_values_of_the_environment_are_read_as_scalars(reference: str, value: object) -> None:
    assert value_of(reference, N="7", PATH_="a b", ZIP="012", EMPTY="") == value


@pytest.mark.parametrize(
    ("reference", "mistake"),
    [
        ("${vars.rat}", "unknown variable '${vars.rat}'; did you mean '${vars.rate}'?"),
        ("${vars.zzz}", "unknown variable '${vars.zzz}'; add 'zzz' under 'vars:'"),
        ("${vars.l2.x}", "unknown variable '${vars.l2.x}'; add 'l2.x' under 'vars:'"),
        ("${l2}", "unknown reference '${l2}'; write ${vars.l2} or ${env.X}"),
        ("x ${vars.l2", "'${' is not closed; write ${vars.x}, or $${ for the text"),
        ("x ${vars.m}", "'${vars.m}' is no text; refer to a text or a number"),
        ("${vars.me}", "a variable refers to itself: me -> you -> me; break the circle"),
    ],
)
def test_a_reference_to_nothing_is_a_mistake(reference: str, mistake: str) -> None:
    variables = "{rate: 1, l2: 1, m: {}, me: '${vars.you}', you: '${vars.me}'}"
    outcome = resolved(f"a: '{reference}'\nvars: {variables}\n")
    assert mistake in [f"{m.found}; {m.fix}" for m in outcome.mistakes]


def test_a_chain_of_variables_too_long_to_follow_is_refused() -> None:
    variables = ", ".join(f"v{i}: ['${{vars.v{i + 1}}}']" for i in range(3000))
    outcome = resolved(f"vars: {{{variables}, v3000: 1}}\n")
    assert any("variables more than 64 levels deep" in m.found for m in outcome.mistakes)


def test_texts_that_double_are_refused() -> None:
    variables = ", ".join(f"v{i}: '${{vars.v{i + 1}}}${{vars.v{i + 1}}}'" for i in range(30))
    outcome = resolved(f"vars: {{{variables}, v30: xxxx}}\n")
    assert any("a text of more than 100,000 characters" in m.found for m in outcome.mistakes)


def test_a_mistake_in_a_variable_is_told_once_and_where_it_is_used_not_at_all() -> None:
    text = "vars: {l: '${env.NO}'}\n" + PIPELINE.replace("1e-3", "'${vars.l}'")
    assert told(text) == [
        "a.yaml:1:11: l: the environment variable 'NO' is not set; "
        "set it, or give a default: ${env.NO:-default}"
    ]


def test_a_value_from_a_variable_is_placed_where_it_is_used() -> None:
    text = "vars: {l: abc}\n" + PIPELINE.replace("1e-3", "'${vars.l}'")
    assert told(text) == [
        "a.yaml:7:49: l2: expected a number, found the text 'abc' (from '${vars.l}')"
    ]


def test_secrets_are_replaced_by_their_references() -> None:
    secrets = {"hunter22": "${env.A}", "7": "${env.B}", "": "${env.C}"}
    assert redact("xhunter22x 7 77 a7 '7'", secrets) == "x${env.A}x ${env.B} 77 a7 '${env.B}'"


def test_overrides_are_read_as_the_file_is() -> None:
    root, mistakes = override(
        tree("a: {b: 1}\nl: [1, {c: 2}]\nx.y: 1\n"),
        ["a.b=1e-3", 'a.c="1e-3"', "a.d=[x, {y: no}]", "l.1.c=null", '"x.y"=2', "n.e.w=a: b"],
    )
    assert not mistakes
    assert plain(root) == {
        "a": {"b": 0.001, "c": "1e-3", "d": ("x", {"y": "no"})},
        "l": (1, {"c": None}),
        "x.y": 2,
        "n": {"e": {"w": {"a": "b"}}},
    }


def test_an_override_of_what_the_file_leaves_out_is_added_and_checked() -> None:
    loaded = load(PIPELINE, "steps.model.train.max_passes=3", "seed=5", "steps.model.retries=2")
    assert loaded.pipeline.seed == 5
    assert loaded.pipeline.steps[3].action.model_dump()["max_passes"] == 3
    assert loaded.pipeline.steps[3].retries == 2


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("steps.modle.train.loss=squared", "7: unknown step 'modle'; did you mean 'model'?"),
        (
            "steps.model.train.penalti=1",
            "19: penalti: unknown key; did you mean 'penalty'? the keys here are loss, "
            "class_weight, penalty, optimizer, max_passes, tolerance, early_stopping, goal, "
            "inference, features, search",
        ),
        (
            'steps.model.train.penalty.l2="1e-3"',
            "30: l2: expected a number, found the text '1e-3' (quotes make it text); "
            "write 1e-3 without the quotes",
        ),
        ("steps.model.train.penalty.l2=-1", "30: l2: must be at least 0, found -1"),
        (
            "steps.model.train.penalty.l2=012",
            "30: '012' is ambiguous (octal or decimal); "
            "write 12 for the number or '012', in quotes, for the text",
        ),
        (
            "seed=[1",
            "8: not valid YAML: expected ',' or ']', but got '<stream end>'; "
            "check the brackets, quotes and indentation before this place",
        ),
        (
            "seed=!!python/name:os.system",
            "6: the tag '!!python/name:os.system' is refused; remove it; no file makes objects",
        ),
        (
            "seed",
            "5: there is no '=' after the path; write it as steps.model.train.penalty.l2=1e-3",
        ),
        ("seed=", "6: there is no value after '='; write null for nothing, \"\" for an empty text"),
        ("=1", "1: expected a key; write it as steps.model.train.penalty.l2=1e-3"),
        (
            "name.x=1",
            "6: 'x' cannot be set below a single value; set the whole value: {key: value}",
        ),
        (
            ".".join(["a"] * 100) + "=1",
            "1: more than 64 levels deep; nest less",
        ),
    ],
)
def test_a_wrong_override_is_placed_in_itself(text: str, mistake: str) -> None:
    assert told(PIPELINE, text) == [f"--set:1:{mistake}"]


def test_what_ran_is_the_file_itself_or_the_file_with_its_overrides() -> None:
    text = PIPELINE + "# a comment\nvars: {x: '${env.X}', y: '012', z: \"1e-3\", d: $$}\n"
    assert load(text, X="hunter22").as_run == text
    as_run = load(text, "steps.model.train.penalty.l2=1e-2", X="hunter22").as_run
    assert "hunter22" not in as_run
    before, after = plain(tree(text)), plain(tree(as_run))
    assert isinstance(before, dict)
    before["steps"]["model"]["train"]["penalty"]["l2"] = 1e-2
    assert after == before


SCALARS = (
    st.text(max_size=12)
    | st.sampled_from(
        ["012", "1e-3", "no", "12:30:00", ".nan", "", "~", "- a", "a: b", "#", "${x}"]
    )
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b c", "no", "1", "^x$", "012"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(value=VALUES)
def test_what_is_written_reads_back_as_the_same_values(value: object) -> None:
    composed = compose(Source("b.yaml", to_yaml({"a": value})))
    assert not composed.mistakes
    assert isinstance(composed.root, MappingNode)
    again = plain(composed.root)["a"]
    assert again == value
    assert repr(again) == repr(value)


def test_defaults_and_the_top_of_the_file_hold_for_every_step() -> None:
    loaded = load(
        "priority: high\nretries: 2\nresources: {GPU: 1, memory: 1GiB}\n"
        "defaults: {train: {max_passes: 9, penalty: {l2: 5, l1: 0}, optimizer: {lbfgs: {}}}}\n"
        + PIPELINE.replace("}}}\n", "}, optimizer: {gradient_descent: {}}}, retries: 1, ")
        + "priority: {urgency: low}, resources: {GPU: 2}}\n"
    )
    people, *_, model = loaded.pipeline.steps
    assert (people.priority.importance, people.retries) == ("high", 2)
    assert people.resources == {"GPU": 1.0, "memory": 2.0**30}
    assert (model.priority.importance, model.priority.urgency) == ("high", "low")
    assert (model.retries, model.resources) == (1, {"GPU": 2.0, "memory": 2.0**30})
    train = model.action.model_dump()
    assert (train["max_passes"], train["penalty"]) == (9, {"l1": 0, "l2": 0.001, "factors": {}})
    assert train["optimizer"]["lbfgs"] is None


def test_a_wrong_default_is_told_once_in_its_place() -> None:
    text = "defaults: {read: {encodin: x}, trian: {}, train: {max_passes: 0}}\nretries: -1\n"
    assert told(text + PIPELINE) == [
        "a.yaml:1:19: encodin: unknown key; did you mean 'encoding'? the keys here are path, "
        "format, separator, encoding, header, skip_rows, columns, missing_values, types, "
        "row_number, rows",
        "a.yaml:1:32: trian: unknown key; did you mean 'train'? the keys here are read, join, "
        "clean, derive, split, prepare, train, meta_train, evaluate, predict, write",
        "a.yaml:1:63: max_passes: must be greater than 0, found 0",
        "a.yaml:2:10: retries: must be at least 0, found -1",
    ]


def test_a_file_may_extend_another_and_mistakes_name_the_file_of_the_value() -> None:
    Path("base").mkdir()
    Path("base/base.yaml").write_text(PIPELINE.replace("1e-3", "'abc'"))
    child = "extends: base/base.yaml\nname: other\nsteps: {model: {train: {penalty: {%s}}}}\n"
    assert told(child % "l3: 1") == [
        "a.yaml:3:35: l3: unknown key; the keys here are l1, l2, factors",
        "base/base.yaml:6:49: l2: expected a number, found the text 'abc'",
    ]
    loaded = load(child % "l2: 4")
    assert loaded.pipeline.name == "other"
    assert [step.name for step in loaded.pipeline.steps][-1] == "model"
    assert loaded.pipeline.steps[3].action.model_dump()["penalty"]["l2"] == 4
    assert load(loaded.as_run).pipeline == loaded.pipeline


def test_files_that_extend_each_other_or_nothing_are_refused() -> None:
    Path("b.yaml").write_text("extends: a.yaml\n" + PIPELINE)
    assert told("extends: b.yaml\n") == [
        "b.yaml:1:10: extends: 'a.yaml' extends this file in turn; break the circle"
    ]
    assert told("extends: none.yaml\n" + PIPELINE) == [
        "a.yaml:1:10: extends: there is no file 'none.yaml'; name it from this file's folder"
    ]
