"""Pipelines and configurations as they are loaded: steps, edges, parts, mistakes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from lepton_dask.config.cluster import AddressCluster, ClusterConfig, LocalCluster
from lepton_dask.config.load import LoadedPipeline, load_config, load_pipeline
from lepton_dask.data.read import Read
from lepton_dask.errors import UserError

READ = "table: {read: {path: a.csv}}\n"
SPLIT = READ + "parts: {split: {train: 0.6, validation: 0.2, test: 0.2}}\n"
PREPARE = SPLIT + "features: {prepare: {target: y}}\n"
TRAIN = PREPARE + "model: {train: {loss: logistic}}\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(steps: str) -> LoadedPipeline:
    Path("a.yaml").write_text("name: a\nsteps:\n" + indent(steps, "  "))
    return load_pipeline(Path("a.yaml"), environment={})


def told(steps: str) -> list[str]:
    """The mistakes without the file's name; line 1 is the first step's."""
    with pytest.raises(UserError) as caught:
        load(steps)
    lines = []
    for mistake in caught.value.mistakes:
        assert mistake.place is not None
        said = str(mistake).removeprefix(f"{mistake.place}: ")
        lines.append(f"{mistake.place.line - 2}:{mistake.place.column - 2}: {said}")
    return lines


def inputs(loaded: LoadedPipeline) -> dict[str, tuple[str, ...]]:
    return {step.name: step.inputs for step in loaded.pipeline.steps}


GRAMMAR_6 = """\
name: bakeoff
vars: {l2: 1.0e-4}
steps:
  people: {read: {path: "${env.INCOME:-data/adult/adult.parquet}", missing_values: ["?"]}}
  parts: {split: {train: 0.7, validation: 0.1, test: 0.2}}
  features: {prepare: {target: {column: income, positive: ">50K"}}}
  quick: {from: features, train: {loss: logistic, penalty: {l2: "${vars.l2}"}}, priority: high}
  sparse: {from: features, train: {loss: logistic}, priority: {importance: low, urgency: low}}
  best: {from: [quick, sparse], evaluate: {metrics: [roc_auc], choose: {metric: roc_auc}}}
  out: {predict: {part: test}}
  save: {write: {path: predictions.parquet}}
"""


def test_a_whole_pipeline_is_loaded() -> None:
    Path("a.yaml").write_text(GRAMMAR_6)
    loaded = load_pipeline(Path("a.yaml"), environment={})
    pipeline = loaded.pipeline
    assert (pipeline.name, pipeline.seed, loaded.file, loaded.warnings) == (
        "bakeoff",
        0,
        "a.yaml",
        (),
    )
    assert inputs(loaded) == {
        "people": (),
        "parts": ("people",),
        "features": ("parts",),
        "quick": ("features",),
        "sparse": ("features",),
        "best": ("quick", "sparse"),
        "out": ("best",),
        "save": ("out",),
    }
    read = pipeline.steps[0].action
    assert isinstance(read, Read)
    assert read.path == "data/adult/adult.parquet"
    assert [step.priority.importance for step in pipeline.steps[2:5]] == ["normal", "high", "low"]
    assert loaded.document.place(("steps", "out", "predict", "part")).line == 10


def test_a_step_comes_after_its_inputs_and_otherwise_in_the_files_order() -> None:
    loaded = load("late: {from: table, clean: {}}\nsave: {write: {path: b.csv}}\n" + READ)
    assert list(inputs(loaded)) == ["table", "late", "save"]


def test_a_part_of_a_step_may_be_taken() -> None:
    loaded = load(SPLIT + "save: {from: parts.test, write: {path: b.csv}}\n")
    assert inputs(loaded)["save"] == ("parts.test",)


def test_a_result_that_nobody_uses_is_a_warning() -> None:
    loaded = load(READ + "idle: {clean: {}}\nsave: {from: table, write: {path: b.csv}}\n")
    assert [str(warning) for warning in loaded.warnings] == [
        "a.yaml:4:3: idle: nobody uses this step's result; name it in a 'from:'"
    ]


@pytest.mark.parametrize(
    ("steps", "mistakes"),
    [
        ("table: {}", ["1:1: table: the step has no verb; add one of read, join, clean, derive, "
                       "split, prepare, train, meta_train, evaluate, predict, write"]),
        ("table: {priority: low}", ["1:1: table: the step has no verb; add one of read, join, "
                       "clean, derive, split, prepare, train, meta_train, evaluate, predict, "
                       "write"]),
        ("table: {raed: {path: a.csv}}", ["1:9: raed: unknown verb; did you mean 'read'?"]),
        ("table: {xyz: {path: a.csv}}", ["1:9: xyz: unknown verb; the verbs are read, join, clean, "
                       "derive, split, prepare, train, meta_train, evaluate, predict, write"]),
        (READ.replace("}}", "}, clean: {}}"),
         ["1:30: clean: a second verb beside 'read'; make it a step of its own"]),
        (READ.replace("}}", "}, form: x}"),
         ["1:30: form: unknown key; did you mean 'from'? the keys here are read, join, clean, "
          "derive, split, prepare, train, meta_train, evaluate, predict, write, from, priority, "
          "resources, retries"]),
        ("table: read", ["1:8: table: expected a mapping with a verb (read, join, clean, "
                         "derive, split, prepare, train, meta_train, evaluate, predict, write), "
                         "found the text 'read'"]),
        ("a.b: {read: {path: a.csv}}", ["1:1: a.b: not a step's name; "
                                        "use letters, digits, '_', '-' and spaces"]),
        ("../b: {read: {path: a.csv}}", ["1:1: ../b: not a step's name; "
                                         "use letters, digits, '_', '-' and spaces"]),
        (READ.replace("}}", "}, retries: -1}"), ["1:39: retries: must be at least 0, found -1"]),
        (READ.replace("}}", "}, resources: {GPU: two, memory: -1GiB, m: -2, n: '2'}}"),
         ["1:47: GPU: 'two' is no number or size; write one like 10 or 2GiB",
          "1:60: memory: must be at least 0, found -1GiB",
          "1:70: m: must be at least 0, found -2",
          "1:77: n: expected a number, found the text '2' (quotes make it text); "
          "write 2 without the quotes"]),
        (READ.replace("}}", "}, priority: urgent}"),
         ["1:40: importance: expected one of low, normal, high, critical or a whole number, "
          "found the text 'urgent'"]),
        (READ.replace("}}", "}, priority: {importance: 10}}"),
         ["1:53: importance: must be at most 9, found 10"]),
    ],
)  # fmt: skip
def test_a_step_has_one_verb_and_known_keys(steps: str, mistakes: list[str]) -> None:
    assert told(steps) == mistakes


@pytest.mark.parametrize(
    ("steps", "mistakes"),
    [
        ("one: {clean: {}}", ["1:7: clean: there is no step above to take; "
                              "begin with a read step, or say 'from:'"]),
        (READ.replace("}}", "}, from: table}"),
         ["1:30: from: 'read' takes no step; leave 'from' out"]),
        (READ + "a: {from: [], clean: {}}",
         ["2:11: from: names no step; name one, or leave 'from' out"]),
        (READ + "a: {from: 3, clean: {}}",
         ["2:11: from: expected a step's name, found the number 3"]),
        (READ + "a: {from: [table, table], clean: {}}",
         ["2:19: from[1]: 'table' is named twice; name it once"]),
        (SPLIT + "a: {from: parts.tset, clean: {}}",
         ["3:11: from: unknown part 'tset'; did you mean 'parts.test'?"]),
        (SPLIT.replace("train: 0.6, validation: 0.2", "train: 0.8")
         + "a: {from: parts.validation, clean: {}}",
         ["3:11: from: 'parts' has no part 'validation'; it has train or test"]),
        (READ + "a: {from: table.test, clean: {}}",
         ["2:11: from: 'table' has no part 'test'; put a split step before it"]),
        (READ + "b: {read: {path: b.csv}}\na: {from: [table, b], clean: {}}",
         ["3:19: from[1]: 'clean' takes one step; name one"]),
        (READ + "model: {train: {loss: squared}}",
         ["2:9: train: 'train' takes a prepare step, and 'table' is not one; "
          "put one before it"]),
        (PREPARE + "scores: {evaluate: {metrics: [roc_auc]}}",
         ["4:10: evaluate: 'evaluate' takes a train step, and 'features' is not one; "
          "put one before it"]),
        (TRAIN + "out: {from: features, predict: {}}",
         ["5:13: from: 'predict' takes a train step or an evaluate step, and 'features' is not "
          "one; say 'from: model'"]),
        (PREPARE + "save: {write: {path: b.csv}}",
         ["4:8: write: 'write' takes a step that gives a table or a predict step, and 'features' "
          "is not one; say 'from: parts'"]),
        (TRAIN + "a: {clean: {}}",
         ["5:5: clean: 'clean' takes a step that gives a table, and 'model' is not one; "
          "say 'from: parts'"]),
        (TRAIN + "scores: {evaluate: {metrics: [roc_auc]}}\nm: {evaluate: {metrics: [brier]}}",
         ["6:5: evaluate: 'evaluate' takes a train step, and 'scores' is not one; "
          "say 'from: model'"]),
        (PREPARE + "m: {from: features, train: {loss: logistic}}\n"
         "n: {from: features, train: {loss: logistic}}\n"
         "best: {from: [m, n], evaluate: {metrics: [roc_auc]}}\nout: {predict: {}}",
         ["7:7: predict: 2 models come in, and none is chosen; give the evaluate step a "
          "'choose:', or take one model with 'from:'"]),
        (SPLIT + "again: {split: {test: 0.5}}",
         ["3:9: split: the table is in the parts train, validation, test already; "
          "'of: train' carves a part out of one of them"]),
        (READ + "again: {split: {of: train, validation: 0.5}}",
         ["2:21: of: there is no part 'train' to carve out of; the table is not in parts"]),
        (READ + "parts: {split: {train: 0.7, test: 0.4}}",
         ["2:9: split: the fractions add up to 1.1, not to 1; "
          "leave 'train' out to give it the rest"]),
    ],
)  # fmt: skip
def test_edges_lead_where_they_can(steps: str, mistakes: list[str]) -> None:
    assert told(steps) == mistakes


NO_VALIDATION = PREPARE.replace("train: 0.6, validation: 0.2", "train: 0.8")


@pytest.mark.parametrize(
    ("steps", "mistakes"),
    [
        (NO_VALIDATION + "m: {train: {loss: logistic, goal: {metric: roc_auc, at_least: 0.9}}}",
         ["4:35: goal: needs a validation part; give split a `validation` share"]),
        (NO_VALIDATION + "m: {train: {loss: logistic, early_stopping: {patience: 3}}}",
         ["4:45: early_stopping: needs a validation part; give split a `validation` share"]),
        (NO_VALIDATION + "m: {train: {loss: logistic}}\n"
         "s: {evaluate: {metrics: [recall], threshold: {metric: recall, at_least: 0.9}}}",
         ["5:46: threshold: there is no validation part; it has train or test"]),
        (PREPARE.replace("train: 0.6, validation: 0.2, test: 0.2", "train: 0.8, validation: 0.2")
         + "m: {train: {loss: logistic}}\n"
         "s: {evaluate: {metrics: [recall], goals: [{metric: recall, at_least: 0.9}]}}\n"
         "o: {from: m, predict: {}}",
         ["5:43: part: there is no test part; it has train or validation",
          "6:14: part: there is no test part; it has train or validation"]),
        (TRAIN + "s: {evaluate: {metrics: [recall], choose: {metric: recall, part: test}}}",
         ["5:66: part: a choice between models must not read the test part; write validation"]),
        (TRAIN + "s: {evaluate: {metrics: [roc_auc, rmse], goals: [{metric: auc, at_least: 1}]}}",
         ["5:59: metric: unknown 'auc'; did you mean 'roc_auc'?"]),
        (TRAIN + "s: {evaluate: {metrics: [roc_auc, rmse]}}",
         ["5:35: metrics[1]: rmse needs a numeric target; the loss is logistic"]),
        (PREPARE + "m: {train: {loss: squared, goal: {metric: f1, at_least: 0.9}}}",
         ["4:43: metric: f1 needs a two-class target; the loss is squared"]),
        (PREPARE + "m: {train: {loss: logistic, goal: {metric: f1, at_least: 0.9, at_most: 1}}}",
         ["4:35: goal: give either at_least or at_most"]),
        (PREPARE + "m: {train: {loss: logistic, goal: {metric: f1}}}",
         ["4:35: goal: give either at_least or at_most"]),
        (TRAIN + "s: {evaluate: {metrics: [f1], goals: [{metric: f1}]}}",
         ["5:39: goals[0]: give at_least, at_most or better_than"]),
    ],
)  # fmt: skip
def test_goals_are_of_known_metrics_on_parts_that_are_there(
    steps: str, mistakes: list[str]
) -> None:
    assert told(steps) == mistakes


@pytest.mark.parametrize(
    "steps",
    [
        "t: {read: {path: {train: a.csv, validation: b.csv}}}\nf: {prepare: {target: y}}\n",
        READ + "p: {split: {column: fold}}\nf: {prepare: {target: y}}\n",
        READ + "p: {split: {time: t, validation: 2013-09-15}}\nf: {prepare: {target: y}}\n",
        "t: {read: {path: {train: a.csv}}}\np: {split: {of: train, validation: 0.1}}\n"
        "f: {prepare: {target: y}}\n",
    ],
)
def test_a_validation_part_may_come_from_anywhere(steps: str) -> None:
    load(steps + "m: {train: {loss: logistic, goal: {metric: roc_auc, at_least: 0.9}}}")


def test_better_than_is_a_goal_by_itself() -> None:
    load(TRAIN + "s: {evaluate: {metrics: [f1], goals: [{metric: f1, better_than: [mean]}]}}")


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("steps: {t: {read: {path: a}}}", ["1:1: name: missing key; add 'name:' (text)"]),
        ("name: a", ["1:1: steps: missing key; add the steps of the pipeline"]),
        ("name: a\nsteps: {}", ["2:1: steps: there are no steps; add at least a read step"]),
        ("name: a\nsteps:", ["2:1: steps: expected a mapping of names to steps, found nothing"]),
        ("nam: a\nstep: {}", [
            "1:1: nam: unknown key; did you mean 'name'? the keys here are name, seed, vars, "
            "defaults, extends, priority, resources, retries, steps",
            "2:1: step: unknown key; did you mean 'steps'? the keys here are name, seed, vars, "
            "defaults, extends, priority, resources, retries, steps"]),
        ("name: ../../etc\nsteps: {t: {read: {path: a}}}",
         ["1:7: name: cannot be part of a folder's name; "
          "use at most 100 letters, digits, '_', '-', '.' and spaces"]),
        ("name: 3\nseed: '7'\nsteps: {t: {read: {path: a}}}", [
            "1:7: name: expected text, found the number 3; write \"3\" for the text",
            "2:7: seed: expected a whole number, found the text '7' (quotes make it text); "
            "write 7 without the quotes"]),
    ],
)  # fmt: skip
def test_the_top_of_a_pipeline(text: str, mistakes: list[str]) -> None:
    Path("a.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_pipeline(Path("a.yaml"), environment={})
    assert [str(m).removeprefix("a.yaml:") for m in caught.value.mistakes] == mistakes


def test_all_mistakes_are_told_at_once_in_the_files_order() -> None:
    Path("a.yaml").write_text(
        dedent("""\
            seed: -1
            steps:
              table: {read: {path: [1], header: no}}
              parts:
                split: {train: 0.7, validaton: 0.1}
              features:
                from: part
                prepare:
                  target: {colum: y}
                  numeric: {impute: meen}
              model: {train: {loss: logistic, optimizer: {lbgfs: {}}, penalty: {l2: 012}}}
              best: {evaluate: {metrics: [roc, rmse]}}
            nam: a
            """)
    )
    with pytest.raises(UserError) as caught:
        load_pipeline(Path("a.yaml"), overrides=["seed=-2"], environment={})
    positions = [(m.subject, m.place.line) for m in caught.value.mistakes if m.place]
    assert positions == [
        ("path[0]", 3),
        ("header", 3),
        ("validaton", 5),
        ("from", 7),
        ("colum", 9),
        ("impute", 10),
        ("lbgfs", 11),
        ("l2", 11),
        ("metrics[0]", 12),
        ("nam", 13),
        ("seed", 1),
    ]


def test_a_configuration_is_loaded_and_none_gives_the_defaults() -> None:
    assert load_config(None).config == ClusterConfig()
    Path("c.yaml").write_text(
        dedent("""\
            cluster: {kind: local, workers: 2, threads_per_worker: 1, memory_per_worker: 2GiB}
            dashboard: 127.0.0.1:8787
            priorities:
              critical: {weight: 8, reserve: 0.25}
              low:      {weight: 1, minimum: 0.05}
            roots: ["${env.DATA}"]
            """)
    )
    loaded = load_config(Path("c.yaml"), environment={"DATA": "/somewhere"})
    assert isinstance(loaded.config.cluster, LocalCluster)
    assert loaded.config.cluster.memory_per_worker == "2GiB"
    assert loaded.config.priorities["critical"].reserve == 0.25
    assert loaded.config.roots == ("/somewhere",)
    assert (loaded.folder, loaded.secrets) == (Path(), ("/somewhere",))
    Path("c.yaml").write_text("cluster: {kind: address, address: 'tls://host:8786'}")
    assert isinstance(load_config(Path("c.yaml")).config.cluster, AddressCluster)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("cluster: {workers: 2}", "1:1: kind: missing key; add 'kind:' (one of local, address)"),
        ("cluster: {kind: address}", "1:1: address: missing key; add 'address:' (text)"),
        ("cluster: {kind: local, worker: 2}", "1:24: worker: unknown key; did you mean 'workers'? "
         "the keys here are kind, workers, threads_per_worker, memory_per_worker"),
        ("cluster: {kind: local, memory_per_worker: 2 gigs}", "1:43: memory_per_worker: "
         "'2 gigs' is no size; write one like 2GiB or 500MB"),
        ("cluster: {kind: local, workers: 0}", "1:33: workers: must be greater than 0, found 0"),
        ("cluster: {kind: local, workers: two}", "1:33: workers: expected a whole number, "
         "found the text 'two'"),
        ("cluster: {kind: address, address: host}", "1:35: address: is no scheduler's address; "
         "write one like tcp://host:8786"),
        ("dashboard: 8787", "1:12: dashboard: expected text, found the number 8787; "
         "write \"8787\" for the text"),
    ],
)  # fmt: skip
def test_a_wrong_configuration(text: str, mistake: str) -> None:
    Path("c.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_config(Path("c.yaml"), environment={})
    assert [str(m) for m in caught.value.mistakes] == [f"c.yaml:{mistake}"]
