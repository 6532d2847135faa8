"""The rows on configuration of the list of bad inputs: what a user is told, word for word."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from lepton_dask.config.document import Document
from lepton_dask.config.load import load_config, load_pipeline
from lepton_dask.errors import UserError

PIPELINE = """\
name: income
seed: {seed}
steps:
  people: {{read: {{path: people.csv, header: {header}}}}}
  parts: {{split: {{train: {train}, validation: 0.1, test: 0.2}}}}
  features: {{prepare: {{target: income}}}}
  model:
    train:
      loss: {loss}
      penalty: {{l2: {l2}}}
"""
GOOD = {"seed": "7", "header": "true", "train": "0.7", "loss": "logistic", "l2": "1e-3"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pipeline(**changes: str) -> str:
    return PIPELINE.format(**{**GOOD, **changes})


def told(text: str | bytes, **environment: str) -> list[str]:
    """What the user of `a.yaml` is told; refused with exit code 2."""
    Path("a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        load_pipeline(Path("a.yaml"), environment=environment)
    assert caught.value.exit_code == 2
    assert all(mistake.place is not None for mistake in caught.value.mistakes)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_the_pipeline_that_these_tests_break_is_valid() -> None:
    Path("a.yaml").write_text(pipeline())
    loaded = load_pipeline(Path("a.yaml"), environment={})
    assert [step.name for step in loaded.pipeline.steps] == ["people", "parts", "features", "model"]


def test_bad_01_number_without_quotes() -> None:
    Path("a.yaml").write_text(pipeline(l2="1e-3"))
    train = load_pipeline(Path("a.yaml"), environment={}).pipeline.steps[3].action
    assert train.model_dump()["penalty"] == {"l1": 0.0, "l2": 0.001, "factors": {}}


def test_bad_01_number_in_quotes() -> None:
    assert told(pipeline(l2='"1e-3"')) == [
        "a.yaml:10:21: l2: expected a number, found the text '1e-3' (quotes make it text); "
        "write 1e-3 without the quotes"
    ]


def test_bad_02_duplicate_key() -> None:
    assert told("seed: 1\n" + pipeline() + "name: again\n") == [
        "a.yaml:3:1: seed: there twice (first in line 1); keep one of them",
        "a.yaml:12:1: name: there twice (first in line 2); keep one of them",
    ]


def test_bad_03_no_is_text() -> None:
    assert told(pipeline(header="no")) == [
        "a.yaml:4:45: header: expected true or false, found the text 'no'; write false"
    ]


def test_bad_03_no_stays_text_where_text_is_wanted() -> None:
    Path("a.yaml").write_text(pipeline().replace("target: income", "target: no"))
    prepare = load_pipeline(Path("a.yaml"), environment={}).pipeline.steps[2].action
    assert prepare.model_dump()["target"] == "no"


def test_bad_04_time_of_day_where_a_number_is_wanted() -> None:
    assert told(pipeline(l2="12:30:00")) == [
        "a.yaml:10:21: l2: expected a number, found the text '12:30:00'"
    ]


def test_bad_05_leading_zero() -> None:
    assert told(pipeline(seed="012")) == [
        "a.yaml:2:7: seed: '012' is ambiguous (octal or decimal); "
        "write 12 for the number or '012', in quotes, for the text"
    ]


@pytest.mark.parametrize("number", [".nan", ".NaN", ".inf", "-.inf", "+.Inf"])
def test_bad_06_not_a_finite_number(number: str) -> None:
    assert told(pipeline(l2=number)) == [
        f"a.yaml:10:21: l2: '{number}' is not a finite number; "
        "write a number, or put the text in quotes"
    ]


def test_bad_06_overflow_is_no_way_to_infinity() -> None:
    assert told(pipeline(l2="1e400")) == [
        "a.yaml:10:21: l2: '1e400' is too large for a number; write a smaller one"
    ]


def test_bad_07_unknown_key() -> None:
    assert told(pipeline().replace("penalty:", "penalti:")) == [
        "a.yaml:10:7: penalti: unknown key; did you mean 'penalty'? the keys here are loss, "
        "class_weight, penalty, optimizer, max_passes, tolerance, early_stopping, goal, inference, "
        "features, search"
    ]


def test_bad_07_unknown_key_like_none() -> None:
    assert told(pipeline().replace("l2:", "xyz:")) == [
        "a.yaml:10:17: xyz: unknown key; the keys here are l1, l2, factors"
    ]


def test_bad_08_wrong_type() -> None:
    assert told(pipeline(loss="[logistic]", header="1")) == [
        "a.yaml:4:45: header: expected true or false, found the number 1",
        "a.yaml:9:13: loss: expected text or a mapping (keys: squared, logistic, multinomial, "
        "poisson, gamma, tweedie, huber, quantile), found a list",
    ]


def test_bad_08_out_of_range() -> None:
    assert told(pipeline(l2="-1", seed="-7")) == [
        "a.yaml:2:7: seed: must be at least 0, found -7",
        "a.yaml:10:21: l2: must be at least 0, found -1",
    ]


def test_bad_08_unknown_name() -> None:
    assert told(pipeline(loss="logistc")) == [
        "a.yaml:9:13: loss: unknown 'logistc'; did you mean 'logistic'?"
    ]


def test_bad_09_alias_loop() -> None:
    assert told("name: a\nvars: &x {a: [1, *x]}\n") == [
        "a.yaml:2:18: a[1]: the alias '*x' stands inside what it names; break the loop"
    ]


def test_bad_10_billion_laughs() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert told("\n".join(lines)) == [
        "a.yaml:5:55: a4[9]: more than 100,000 values once aliases are expanded; "
        "write less, or use fewer aliases"
    ]


def test_bad_10_billion_laughs_by_variables() -> None:
    variables = ["a0: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for i in range(1, 10):
        references = ", ".join([f'"${{vars.a{i - 1}}}"'] * 10)
        variables.append(f"a{i}: [{references}]")
    mistakes = told(pipeline() + "vars:\n  " + "\n  ".join(variables))
    assert mistakes[0] == "a.yaml:17:8: a5[0]: '${vars.a4}' stands for too much; write less"


@pytest.mark.parametrize(
    "deep",
    ["a: " + "[" * 5000 + "]" * 5000, "a: " + "{a: " * 5000, "- " * 5000, "a: " + "[" * 900_000],
    ids=["sequences", "mappings", "dashes", "a megabyte of brackets"],
)
def test_bad_11_depth(deep: str) -> None:
    mistakes = told(deep)
    assert len(mistakes) == 1
    assert mistakes[0].endswith(": more than 64 levels deep; nest less")
    assert mistakes[0].startswith("a.yaml:1:")


def test_bad_11_depth_by_aliases() -> None:
    lines = ["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 5000)]
    assert told("\n".join(lines)) == ["a.yaml:64:12: a63[0]: more than 64 levels deep; nest less"]


def test_bad_12_python_tag() -> None:
    text = pipeline(loss="!!python/object/apply:os.system ['touch pwned']")
    assert told(text)[0] == (
        "a.yaml:9:13: loss: the tag '!!python/object/apply:os.system' is refused; "
        "remove it; no file makes objects"
    )
    assert not Path("pwned").exists()


@pytest.mark.parametrize("value", ["!!str 5", "!!int 5", "! 5", "!mine 5", "!!binary aGVsbG8="])
def test_bad_12_every_other_tag(value: str) -> None:
    tag = value.partition(" ")[0]
    assert told(pipeline(seed=value)) == [
        f"a.yaml:2:7: seed: the tag '{tag}' is refused; remove it; no file makes objects"
    ]


def test_bad_13_not_utf_8() -> None:
    assert told(b"name: a\nsteps: caf\xe9\n") == [
        "a.yaml:2:11: not UTF-8: byte 0xe9 at offset 18; save the file as UTF-8"
    ]


def test_bad_13_utf_16() -> None:
    assert told(pipeline().encode("utf-16")) == [
        "a.yaml:1:1: not UTF-8: byte 0xff at offset 0; save the file as UTF-8"
    ]


def test_bad_13_over_a_megabyte() -> None:
    assert told(pipeline() + "#" * 1_000_000) == [
        "a.yaml:1:1: larger than 1,000,000 bytes; check that this is the file you mean"
    ]


def test_bad_15_undefined_environment_variable() -> None:
    text = pipeline().replace("people.csv", '"${env.INCOME_FILE}"')
    assert told(text) == [
        "a.yaml:4:25: path: the environment variable 'INCOME_FILE' is not set; "
        "set it, or give a default: ${env.INCOME_FILE:-default}"
    ]
    assert told(text, INCOME_FILES="x") == [
        "a.yaml:4:25: path: the environment variable 'INCOME_FILE' is not set; "
        "did you mean '${env.INCOME_FILES}'? or set it, or give a default: "
        "${env.INCOME_FILE:-default}"
    ]


def test_bad_15_empty_environment_variable() -> None:
    text = pipeline().replace("people.csv", '"data/${env.INCOME_FILE}"')
    assert told(text, INCOME_FILE="") == [
        "a.yaml:4:25: path: the environment variable 'INCOME_FILE' is empty; "
        "set it, or give a default: ${env.INCOME_FILE:-default}"
    ]


def test_bad_16_secret_in_a_message() -> None:
    text = pipeline(loss='"${env.TOKEN}"', seed='"x${env.TOKEN}"').replace(
        "features:", 'features:\n    from: "${env.TOKEN}"\n   '
    )
    text = text.replace("    {prepare", "    prepare").replace("income}}", "income}")
    mistakes = told(text, TOKEN="hunter22")
    assert mistakes == [
        "a.yaml:2:7: seed: expected a whole number, found the value of 'x${env.TOKEN}'",
        "a.yaml:7:11: from: unknown step '${env.TOKEN}'; the steps are people, parts, model",
        "a.yaml:11:13: loss: unknown '${env.TOKEN}'; write squared, logistic, multinomial, "
        "poisson, gamma, tweedie, huber or quantile",
    ]
    assert "hunter22" not in "".join(mistakes)


def test_bad_16_secret_in_what_is_kept() -> None:
    text = pipeline().replace("people.csv", '"s3://user:${env.TOKEN}@bucket/people.csv"')
    Path("a.yaml").write_text(text)
    for overrides in ((), ("seed=1",)):
        loaded = load_pipeline(
            Path("a.yaml"), overrides=overrides, environment={"TOKEN": "hunter22"}
        )
        assert "hunter22" not in loaded.as_run
        assert "${env.TOKEN}" in loaded.as_run
        assert loaded.secrets == ("s3://user:hunter22@bucket/people.csv", "hunter22")


def test_bad_17_cycle() -> None:
    text = dedent("""\
        name: a
        steps:
          table: {read: {path: a.csv}}
          one: {from: three, clean: {}}
          two: {clean: {}}
          three: {clean: {}}
        """)
    assert told(text) == [
        "a.yaml:4:15: from: the steps take each other in a cycle: one <- three <- two <- one; "
        "let one of them take another step"
    ]


def test_bad_17_step_that_is_not_there() -> None:
    assert told(pipeline().replace("model:", "model:\n    from: featurs")) == [
        "a.yaml:8:11: from: unknown step 'featurs'; did you mean 'features'?"
    ]


def test_bad_17_step_that_takes_itself() -> None:
    assert told(pipeline().replace("model:", "model:\n    from: model")) == [
        "a.yaml:8:11: from: the step takes itself; name another step"
    ]


def test_a_configuration_is_checked_as_strictly() -> None:
    Path("c.yaml").write_text(
        "cluster: {kind: lcal, workers: 2}\nworker_timeout_s: '30'\ncluster: 3\n"
        "priorities: {critcal: {weight: 0}}\n"
    )
    with pytest.raises(UserError) as caught:
        load_config(Path("c.yaml"), environment={})
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        "c.yaml:1:17: kind: unknown 'lcal'; did you mean 'local'?",
        "c.yaml:2:19: worker_timeout_s: expected a number, found the text '30' "
        "(quotes make it text); write 30 without the quotes",
        "c.yaml:3:1: cluster: there twice (first in line 1); keep one of them",
        "c.yaml:4:14: critcal: unknown key; did you mean 'critical'? "
        "the keys here are low, normal, high, critical",
        "c.yaml:4:32: weight: must be greater than 0, found 0",
    ]


def test_a_document_alone_is_refused_as_well() -> None:
    Path("a.yaml").write_text("a: 012\nb: !!str x\n")
    with pytest.raises(UserError) as caught:
        Document.read(Path("a.yaml"))
    assert [(m.place.line, m.place.column) for m in caught.value.mistakes if m.place] == [
        (1, 4),
        (2, 4),
    ]
