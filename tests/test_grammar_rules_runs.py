"""The grammar's rules 17 to 23: variables and numbers, goals, predictions, paths, training."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton
from grammar import (
    After,
    Planned,
    Ran,
    Refused,
    SmallChunks,
    document,
    learn,
    listed,
    schema,
    write_csv,
)

import lepton_dask
from lepton_dask.cluster import connect
from lepton_dask.config.cluster import ClusterConfig, LocalCluster
from lepton_dask.config.load import LoadedConfig
from lepton_dask.errors import UserError
from lepton_dask.run.pipeline import load_and_plan

WritePipeline = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- 17: variables -------------------------------------------------------------------------------


@pytest.fixture
def small() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return write_csv("a.csv", x=rng.normal(size=60), y=rng.integers(0, 2, 60))


@pytest.mark.usefixtures("small")
def test_rule_17_references_keep_their_type_and_two_dollars_are_one(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("L2", "0.25")
    made = planned(
        learn("y").replace("0.1", "'${env.L2}', l1: '${vars.l1}'")
        + "scores: {evaluate: {metrics: '${vars.metrics}'}}\n"
        + "out: {from: rows, write: {path: 'a$${vars.l1}-${env.NOBODY:-b}-${vars.l1}.csv'}}\n",
        top="vars: {l1: 1e-3, metrics: [roc_auc, brier]}\n",
    )
    actions = {step.name: step.action.model_dump() for step in made.loaded.pipeline.steps}
    assert actions["model"]["penalty"] == {"l1": 0.001, "l2": 0.25, "factors": {}}
    assert actions["scores"]["metrics"] == ("roc_auc", "brier")
    assert actions["out"]["path"] == "a${vars.l1}-b-0.001.csv"


def test_rule_17_a_value_of_the_environment_is_never_written(
    small: pd.DataFrame, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.to_csv("hunter22.csv", index=False)
    monkeypatch.setenv("TABLE", "hunter22")
    monkeypatch.setenv("L2", "0.123456789")
    steps = learn("y").replace("a.csv", '"${env.TABLE}.csv"').replace("0.1}", '"${env.L2}"}')
    folder = ran(steps + "scores: {evaluate: {metrics: [roc_auc]}}\n").folder
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(b"${env.TABLE}" in path.read_bytes() for path in files)
    for path in files:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert b"hunter22" not in content, path
        # Nor as a plan rounds it.
        assert b"0.12345" not in content, path


@pytest.mark.usefixtures("small")
def test_rule_17_a_file_extends_another_and_messages_name_the_origin(
    write_pipeline: WritePipeline,
) -> None:
    scores = "scores: {evaluate: {metrics: [roc_auc, brier]}}\n"
    base = document(learn("y") + scores)
    Path("base.yaml").write_text(base)
    child = (
        "extends: base.yaml\nsteps:\n  model: {train: {max_passes: 7}}\n"
        "  scores: {evaluate: {metrics: [accuracy]}}\n"
    )
    made = load_and_plan(write_pipeline(child)).loaded.pipeline
    actions = {step.name: step.action.model_dump() for step in made.steps}
    assert made.name == "rules"
    assert (actions["model"]["max_passes"], actions["model"]["penalty"]["l2"]) == (7, 0.1)
    assert actions["scores"]["metrics"] == ("accuracy",)
    Path("base.yaml").write_text(base.replace("l2: 0.1", "l2: high"))
    with pytest.raises(UserError) as caught:
        load_and_plan(write_pipeline(child.replace("7", "seven")))
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert any("base.yaml:6:" in text and "'high'" in text for text in told)
    assert any("pipeline.yaml:3:31: max_passes" in text and "'seven'" in text for text in told)


@pytest.mark.usefixtures("small")
def test_rule_17_defaults_by_verb_and_the_top_hold_for_every_step(planned: Planned) -> None:
    made = planned(
        learn("y")
        + "other: {from: features, train: {loss: logistic, max_passes: 9}, retries: 0}\n",
        top=(
            "defaults: {train: {max_passes: 5, tolerance: 1e-3}}\n"
            "priority: high\nretries: 2\nresources: {memory: 1MiB}\n"
        ),
    )
    steps = {step.name: step for step in made.loaded.pipeline.steps}
    passes = {name: steps[name].action.model_dump()["max_passes"] for name in ("model", "other")}
    assert passes == {"model": 5, "other": 9}
    assert steps["other"].action.model_dump()["tolerance"] == 1e-3
    assert [step.retries for step in steps.values()] == [2, 2, 2, 0]
    assert {step.priority.importance for step in steps.values()} == {"high"}
    assert all(step.resources == {"memory": 2.0**20} for step in steps.values())


# --- 18: numbers ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("where", ["file", "set"])
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1.0e-3", 0.001),
        ("12", 12.0),
        ('"1e-3"', "expected a number, found the text '1e-3' (quotes make it text)"),
        ("no", "expected a number, found the text 'no'"),
        ("12:30", "expected a number, found the text '12:30'"),
        ("012", "'012' is ambiguous (octal or decimal)"),
    ],
)
def test_rule_18_numbers_are_the_same_in_files_and_in_set(
    where: str, written: str, value: object, planned: Planned, refused: Refused
) -> None:
    steps = learn("y").replace("0.1", written if where == "file" else "5")
    overrides = [f"steps.model.train.penalty.l2={written}"] if where == "set" else []
    if isinstance(value, str):
        [mistake] = refused(steps, overrides=overrides)
        assert value in mistake
        return
    train = planned(steps, overrides=overrides).loaded.pipeline.steps[-1].action
    assert train.model_dump()["penalty"]["l2"] == value


def test_rule_18_no_and_a_clock_time_are_texts(after: After) -> None:
    write_csv("a.csv", **{"no": [1, 2], "12:30": [3, 4], "yes": [5, 6]})
    found = after("rows: {read: {path: a.csv}}\ntidy: {clean: {drop: [no], rename: {12:30: on}}}\n")
    assert list(found) == ["on", "yes"]


# --- 19: goals -----------------------------------------------------------------------------------


@pytest.fixture
def scored() -> pd.DataFrame:
    """Labels that x tells about, and a column that tells less."""
    rng = np.random.default_rng(4)
    n = 900
    x = rng.normal(size=(n, 6))
    effect = x @ np.array([2, 1, 0.5, 0.25, 0.1, 0.0]) + rng.normal(size=n)
    columns = {f"x{i}": x[:, i] * 5.0**i for i in range(6)}
    return write_csv(
        "a.csv",
        **columns,
        y=(effect > 0).astype(int),
        effect=effect,
        guess=effect + rng.normal(size=n) * 2,
        part=rng.choice(["train", "validation", "test"], n),
    )


def goals(train: str, evaluate: str, target: str = "y") -> str:
    other = "effect" if target == "y" else "y"
    return (
        "rows: {read: {path: a.csv}}\n"
        "parts: {split: {column: part}}\n"
        f"features: {{prepare: {{target: {target}, exclude: [part, guess, {other}]}}}}\n"
        f"model: {{train: {{{train}}}}}\n"
        f"scores: {{evaluate: {{{evaluate}}}}}\n"
    )


@pytest.mark.usefixtures("scored")
def test_rule_19_a_goal_of_train_reads_the_validation_part_and_stops(ran: Ran) -> None:
    slow = "loss: logistic, optimizer: {gradient_descent: {learning_rate: 0.02}}, max_passes: 300"
    goal = "goal: {metric: roc_auc, at_least: 0.9}"

    def training(train: str) -> tuple[dict[str, object], float]:
        outcome = ran(goals(train, "metrics: [roc_auc]"))
        report = json.loads((outcome.folder / "training.json").read_text())["model"]
        return report, outcome.metrics["scores"].scores["validation"]["roc_auc"]

    whole, _ = training(slow)
    stopped, reached = training(f"{slow}, {goal}")
    assert stopped["stopped"].startswith("goal: the goal is met: roc_auc at least 0.9")
    assert stopped["passes"] < whole["passes"]
    assert reached >= 0.9


@pytest.mark.usefixtures("scored")
def test_rule_19_a_goal_of_train_without_a_validation_part_is_a_mistake(refused: Refused) -> None:
    steps = goals("loss: logistic, goal: {metric: roc_auc, at_least: 0.9}", "metrics: [roc_auc]")
    [mistake] = refused(steps.replace("{column: part}", "{test: 0.2}"))
    assert mistake.startswith("goal: needs a validation part")


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize(
    ("goal", "code"),
    [
        ("{metric: roc_auc, part: test, at_least: 0.8}", 0),
        ("{metric: roc_auc, part: test, at_least: 0.999}", 3),
        ("{metric: log_loss, part: test, at_most: 0.01}", 3),
        ("{metric: log_loss, part: test, better_than: [mean]}", 0),
    ],
)
def test_rule_19_goals_of_evaluate_decide_the_exit_code(
    goal: str, code: int, lepton: Lepton, scheduler: str, write_pipeline: WritePipeline
) -> None:
    path = write_pipeline(document(goals("loss: logistic", f"metrics: [roc_auc], goals: [{goal}]")))
    done = lepton("run", path, "--scheduler", scheduler)
    assert done.code == code
    assert ("goal missed" in done.stderr) == (code == 3)


@pytest.mark.parametrize("better_than", ["[mean, guess]", "[mean, effect]"])
def test_rule_19_better_than_is_a_goal_against_baselines_that_are_reported(
    better_than: str, scored: pd.DataFrame, ran: Ran
) -> None:
    """No model is better than the target itself."""
    evaluate = f"metrics: [rmse], goals: [{{metric: rmse, part: test, better_than: {better_than}}}]"
    steps = goals("loss: squared", evaluate, "effect").replace("guess, y", "guess, y, target")
    steps = steps.replace("target: effect", "target: target").replace("y, target]", "y, effect]")
    scored.assign(target=scored["effect"]).to_csv("a.csv", index=False)
    outcome = ran(steps)
    assert outcome.exit_code == (3 if "effect" in better_than else 0)
    report = json.loads((outcome.folder / "metrics.json").read_text())["scores"]
    train, test = (scored[scored["part"] == part] for part in ("train", "test"))
    expected = {
        "mean": np.sqrt(np.mean((test["effect"] - train["effect"].mean()) ** 2)),
        "guess": np.sqrt(np.mean((test["effect"] - test["guess"]) ** 2)),
        "effect": 0.0,
    }
    for name, scores in report["baselines"].items():
        assert scores["test"]["rmse"] == pytest.approx(expected[name], rel=1e-9)


CHOICE = """\
other: {from: features, train: {loss: logistic, penalty: {l2: 3}}}
best: {from: [model, other], evaluate: {metrics: [log_loss], choose: {metric: log_loss}}}
"""


def test_rule_19_choose_never_reads_test(scored: pd.DataFrame, ran: Ran, refused: Refused) -> None:
    """The test labels turned round, which makes the other model the better one there."""
    steps = goals("loss: logistic", "metrics: [log_loss]") + CHOICE
    test = scored["part"] == "test"
    chosen = []
    for y in (scored["y"], scored["y"].where(~test, 1 - scored["y"])):
        scored.assign(y=y).to_csv("a.csv", index=False)
        best = ran(steps).metrics["best"]
        chosen.append(best.model)
        losses = {name: each["test"]["log_loss"] for name, each in best.candidates.items()}
        better_on_test = min(losses, key=losses.__getitem__)
    assert chosen == ["model", "model"]
    assert better_on_test == "other"
    [mistake] = refused(steps.replace("choose: {", "choose: {part: test, "))
    assert mistake.startswith("part: a choice between models must not read the test part")


# --- 20: predict replays -------------------------------------------------------------------------

OWN = """\
def halves(frame):
    frame["half"] = frame["size"] / 2
    return frame[["half"]]
"""


def test_rule_20_predict_replays_the_row_path_and_skips_what_drops_rows(
    ran: Ran, lepton: Lepton, scheduler: str
) -> None:
    Path("own_rule_20.py").write_text(OWN)
    rng = np.random.default_rng(6)
    n = 200
    x = rng.normal(size=n).round(4)
    rows = write_csv("a.csv", k=rng.integers(0, 5, n), **{"the size": x}, y=x + rng.normal(size=n))
    write_csv("b.csv", k=range(5), z=range(5))
    folder = ran(
        """\
        right: {read: {path: b.csv}}
        rows: {read: {path: a.csv}}
        tidy: {clean: {rename: {the size: size}, filter: "y > 0", drop_missing: [size]}}
        more: {derive: {columns: {square: size * size}}}
        own: {derive: {python: "own_rule_20:halves", outputs: {half: number}}}
        both: {join: [{with: right, on: k, keep: true}]}
        parts: {split: {test: 0.3}}
        features: {prepare: {target: y, numeric: {impute: none}}}
        model: {train: {loss: squared, penalty: {l2: 1e-3}}}
        """
    ).folder
    lines = ["k,the size", "1,0.5", "2,", "3,wide", "9,1.5", "4"]
    Path("new.csv").write_text("\n".join(lines) + "\n")
    done = lepton("predict", folder, "new.csv", "out.csv", "--scheduler", scheduler)
    assert done.code == 0, done.stderr
    out = pd.read_csv("out.csv")
    assert len(out) == 5
    assert out["prediction"].notna().tolist() == [True, False, False, False, False]
    assert listed(out["reason"]) == [
        None,
        "'size' is missing; 'square' is missing; 'half' is missing",
        "the size: 'wide' is not a number",
        "'z' is missing",
        "expected 2 fields, found 1",
    ]
    model = lepton_dask.load(folder)
    assert [column.name for column in model.inputs] == ["k", "the size"]
    by_hand = model.coefficients / [number.scale for number in model.prepared.numbers]
    values = {"k": 1, "size": 0.5, "square": 0.25, "half": 0.25, "z": 1}
    centered = {n.column: values[n.column] - n.center for n in model.prepared.numbers}
    expected = model.intercept + sum(by_hand[name] * centered[name] for name in centered)
    assert out["prediction"][0] == pytest.approx(expected, rel=1e-9)
    # Recorded by its name alone.
    bundle = (folder / "model" / "bundle.json").read_text()
    assert "own_rule_20:halves" in bundle
    assert 'frame["size"]' not in bundle
    assert len(rows) == n


@pytest.mark.usefixtures("small")
def test_rule_20_python_steps_declare_their_output_columns(refused: Refused) -> None:
    Path("own_rule_20b.py").write_text(OWN)
    [mistake] = refused(
        "rows: {read: {path: a.csv}}\nown: {derive: {python: 'own_rule_20b:halves'}}\n"
        "out: {write: {path: b.csv}}\n"
    )
    assert "the columns that 'own_rule_20b:halves' returns are not declared" in mistake


# --- 21: paths -----------------------------------------------------------------------------------


def test_rule_21_inputs_are_looked_up_in_the_project_or_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "pipelines").mkdir(parents=True)
    (project / "pyproject.toml").write_text("")
    (tmp_path / "elsewhere").mkdir()
    write_csv(str(project / "a.csv"), x=[1])
    write_csv(str(tmp_path / "elsewhere" / "b.csv"), x=[1])
    path = project / "pipelines" / "p.yaml"
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("a.csv", "b.csv"):
        path.write_text(
            document(f"rows: {{read: {{path: {name}}}}}\nout: {{write: {{path: o.csv}}}}\n")
        )
        assert schema(load_and_plan(path), "rows") == {"x": "integer"}


@pytest.mark.parametrize("path", ["../secret.csv", "link.csv", "ABSOLUTE"])
def test_rule_21_inputs_may_not_leave_the_roots_of_the_configuration(
    path: str, planned: Planned, refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "inside").mkdir()
    write_csv("inside/a.csv", x=[1])
    write_csv("secret.csv", x=[1])
    (tmp_path / "inside" / "link.csv").symlink_to(tmp_path / "secret.csv")
    Path("configuration.yaml").write_text("roots: [inside]\n")
    steps = "rows: {read: {path: PATH}}\nout: {write: {path: o.csv}}\n"
    on = Path("configuration.yaml")
    assert schema(planned(steps.replace("PATH", "a.csv"), on=on), "rows") == {"x": "integer"}
    path = path.replace("ABSOLUTE", str(tmp_path / "secret.csv"))
    [mistake] = refused(steps.replace("PATH", path), on=on)
    assert "leaves the folders of the configuration's roots" in mistake


def test_rule_21_outputs_go_to_the_run_folder(ran: Ran, refused: Refused) -> None:
    write_csv("a.csv", x=[1])
    steps = "rows: {read: {path: a.csv}}\nout: {write: {path: deep/o.csv}}\n"
    before = sorted(each.name for each in Path().iterdir())
    folder = ran(steps).folder
    assert (folder / "deep" / "o.csv").is_file()
    assert sorted(each.name for each in Path().iterdir()) == sorted(
        [*before, "pipeline.yaml", "runs"]
    )
    [mistake] = refused(steps.replace("deep/", "../"))
    assert "leaves the run folder" in mistake


# --- 22: the objective ---------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["logistic", "squared"])
@pytest.mark.parametrize(("l1", "l2"), [(0, 0.05), (0.05, 0.02)])
def test_rule_22_the_gradient_of_the_objective_vanishes_where_training_ends(
    loss: str, l1: float, l2: float, ran: Ran
) -> None:
    """(1 / sum w) sum w loss + l1 |b|_1 + (l2 / 2) |b|^2, the intercept free: its derivatives by
    hand, on columns prepared by hand; at a coefficient of 0 the smooth part's is within l1."""
    rng = np.random.default_rng(9)
    X = rng.normal(size=(400, 5))
    w = rng.integers(1, 6, 400)
    y = X @ [1.5, -1, 0.3, 0.05, 0] + 2 + rng.normal(size=400)
    y = (y > 2).astype(float) if loss == "logistic" else y
    write_csv("a.csv", **{f"x{i}": X[:, i] for i in range(5)}, w=w, y=y)
    steps = learn("y", loss, ", weight: w, numeric: {scale: minmax}")
    steps = steps.replace(
        "{l2: 0.1}", f"{{l1: {l1}, l2: {l2}}}, tolerance: 1e-10, max_passes: 5000"
    )
    model = lepton_dask.load(ran(steps).folder)
    Z = (X - X.min(axis=0)) / (X.max(axis=0) - X.min(axis=0))
    b = model.coefficient_array
    z = Z @ b + model.intercept
    residual = (1 / (1 + np.exp(-z)) if loss == "logistic" else z) - y
    gradient = Z.T @ (w * residual) / w.sum() + l2 * b
    assert abs((w * residual).sum() / w.sum()) < 1e-8
    there = b != 0
    np.testing.assert_allclose(gradient[there] + l1 * np.sign(b[there]), 0, atol=1e-8)
    assert (np.abs(gradient[~there]) <= l1).all()
    assert there.all() == (l1 == 0)


# --- 23: the random split ------------------------------------------------------------------------


def test_rule_23_the_random_split_is_the_same_for_chunks_workers_and_columns(
    ran: Ran, small_chunks: SmallChunks, scheduler: str
) -> None:
    write_csv("a.csv", i=range(500), x=np.random.default_rng(0).normal(size=500))
    Path("moved").mkdir()
    Path("moved/a.csv").write_bytes(Path("a.csv").read_bytes())
    Path("b.csv").write_bytes(Path("a.csv").read_bytes())

    def test_rows(read: str, on: str = scheduler) -> list[int]:
        folder = ran(
            f"rows: {{read: {{{read}}}}}\nparts: {{split: {{test: 0.3}}}}\n"
            "some: {from: parts.test, write: {path: t.parquet}}\n",
            scheduler=on,
        ).folder
        return pd.read_parquet(folder / "t.parquet")["i"].tolist()

    first = test_rows("path: a.csv")
    assert 100 < len(first) < 200
    assert test_rows("path: a.csv, columns: [i]") == first
    assert test_rows("path: moved/a.csv") == first
    small_chunks(700)
    assert test_rows("path: a.csv") == first
    one = LocalCluster(workers=1, threads_per_worker=2, memory_per_worker="1GiB")
    config = ClusterConfig(cluster=one, dashboard="127.0.0.1:0")
    with connect(LoadedConfig(config, None, Path())) as session:
        assert test_rows("path: a.csv", session.address) == first
    assert test_rows("path: b.csv") != first
    assert first == hashed_to_test("a", 500, seed=4, share=0.3)


def hashed_to_test(stem: str, rows: int, *, seed: int, share: float) -> list[int]:
    """Rows by splitmix64 over a key of seed and file, in plain integers; the last share is test."""
    key = blake2b(digest_size=8)
    for text in (b"row", str(seed).encode(), b"", stem.encode()):
        key.update(len(text).to_bytes(8, "little") + text)
    state = int.from_bytes(key.digest(), "little")
    chosen = []
    for row in range(rows):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        if (z ^ (z >> 31)) / 2**64 >= 1 - share:
            chosen.append(row)
    return chosen
