"""A saved model predicts what the trained one does, with numpy alone."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import subprocess
import sys
import textwrap
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepton_dask
from lepton_dask.artifacts import predictor
from lepton_dask.artifacts.bundle import load, save_bundle
from lepton_dask.artifacts.frames import InputColumn, read_frame
from lepton_dask.artifacts.predictor import Model, Source
from lepton_dask.artifacts.replay import Drop, PythonStep, Rename
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.fit import fit
from lepton_dask.data.prepare import Hash, Prepare
from lepton_dask.data.profile import profile_table
from lepton_dask.data.treatments import resolve_treatments
from lepton_dask.errors import RunError, UserError

ZONE = "America/New_York"
TABLE = pa.table(
    {
        "age": pa.array([30, None, 50, 60], pa.int64()),
        "gain": pa.array([0.0, 1.5, None, 8.0]),
        "member": pa.array([True, False, None, True]),
        "job": pa.array(["clerk", "smith", None, "clerk"]),
        "born": pa.array([dt.date(1990, 1, 2), dt.date(1960, 5, 6), None, dt.date(1970, 12, 31)]),
        "seen": pa.array([0, 10**18, None, 10**18 + 10**15], pa.timestamp("ns", ZONE)),
        "income": pa.array(["low", "high", "low", "high"]),
    }
)
INPUTS = (
    InputColumn("age", "integer"),
    InputColumn("gain", "number"),
    InputColumn("member", "boolean"),
    InputColumn("job", "text"),
    InputColumn("born", "date"),
    InputColumn("seen", "timestamp", zone=ZONE),
)


def model(task="classification", target=None, **changes) -> Model:
    target = target or {"column": "income", "positive": "high"}
    prepare = Prepare.model_validate(
        {
            "target": target,
            "categorical": {"minimum_count": 1},
            "exclude": () if task == "classification" else ("income",),
            "columns": {"gain": {"impute": "none", "transform": "log1p"}},
        }
    )
    profile = profile_table(TABLE)
    treatments, mistakes = resolve_treatments(prepare, profile.schema, (), task)
    assert mistakes == []
    prepared = fit(treatments, prepare, profile, profile, at=(), task=task).prepared
    rng = np.random.default_rng(6)
    made = Model(
        name="people",
        created="2026-08-01T12:00:00Z",
        version="0.1.0",
        source=Source({"format": "csv"}, INPUTS),
        inputs=INPUTS,
        missing_values=("?",),
        replay=(),
        prepared=prepared,
        loss="logistic" if task == "classification" else "squared",
        coefficient_array=rng.normal(size=len(prepared.features)),
        intercept=0.25,
    )
    return replace(made, **changes)


def pandas_frame() -> pd.DataFrame:
    return TABLE.drop_columns(["income"]).to_pandas(types_mapper=pd.ArrowDtype)


def one_hot(prepared, rows) -> np.ndarray:
    blocks = [np.eye(n)[rows.codes[:, q]] for q, n in enumerate(prepared.levels)]
    return np.hstack([rows.dense, *blocks])


def test_a_saved_model_is_the_model(tmp_path: Path) -> None:
    saved = model(threshold=0.3, replay=(Rename({"a": "b"}), Drop(("c",))))
    save_bundle(tmp_path / "model", saved)
    loaded = load(str(tmp_path / "model"))
    everything_else = {field.name for field in fields(Model)} - {"coefficient_array"}
    for name in everything_else:
        assert getattr(loaded, name) == getattr(saved, name)
    assert loaded.coefficient_array.tobytes() == saved.coefficient_array.tobytes()
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "bundle.json",
        "coefficients.npy",
        "manifest.json",
    ]


def test_it_scores_the_linear_predictor_through_the_link() -> None:
    m = model()
    frame = pandas_frame()
    X = one_hot(m.prepared, m.prepared.apply(to_columns(TABLE)))
    z = X @ m.coefficients.to_numpy() + m.intercept
    p = 1 / (1 + np.exp(-z))
    scored = np.array([True, True, False, True])
    np.testing.assert_allclose(m.decision_function(frame)[scored], z[scored], rtol=1e-12)
    np.testing.assert_allclose(
        m.predict_proba(frame)[scored], np.column_stack([1 - p, p])[scored], rtol=1e-12
    )
    assert m.classes == ("low", "high")
    expected = np.where(p >= 0.5, "high", "low").astype(object)
    expected[2] = None
    assert m.predict(frame).tolist() == expected.tolist()
    assert m.coefficients.index.tolist() == list(m.prepared.features)


def test_rows_that_cannot_be_scored_have_no_prediction_and_a_reason() -> None:
    m, frame = model(), pandas_frame()
    assert m.problems(frame).tolist() == [None, None, "'gain' is missing", None]
    assert m.predict(frame)[2] is None
    assert np.isnan(m.predict_proba(frame)[2]).all()
    assert np.isnan(m.decision_function(frame)[2])


def test_the_threshold_decides() -> None:
    frame = pandas_frame().iloc[[0, 1, 3]]
    positive = model().predict_proba(frame)[:, 1]
    m = model(threshold=float(np.sort(positive)[1]))
    assert (m.predict(frame) == "high").tolist() == (positive >= m.threshold).tolist()


def test_a_model_of_a_number_predicts_it_and_has_no_classes() -> None:
    m, frame = model("regression", "age"), pandas_frame()
    np.testing.assert_array_equal(m.predict(frame), m.decision_function(frame))
    assert np.isnan(m.predict(frame)[2])
    assert m.classes is None
    with pytest.raises(TypeError, match="no classes"):
        m.predict_proba(frame)


def variants() -> dict[str, object]:
    arrow = pandas_frame()
    plain = TABLE.drop_columns(["income"]).to_pandas()
    lists = {name: TABLE.column(name).to_pylist() for name in plain.columns}
    texts = arrow.astype({"age": str, "gain": str}).astype(object)
    texts = texts.where(arrow.notna(), "?")
    texts["born"] = [str(day) if day else "?" for day in lists["born"]]
    texts["seen"] = [moment.isoformat() if moment else "?" for moment in lists["seen"]]
    return {
        "arrow": arrow,
        "numpy": plain,
        "objects": plain.astype(object),
        "nullable": plain.convert_dtypes(dtype_backend="numpy_nullable"),
        "categorical": plain.astype({"job": "category", "age": "category"}),
        "lists": lists,
        "arrays": {name: np.array(values, dtype=object) for name, values in lists.items()},
        "texts": texts,
        "columns reordered, one too many": arrow[arrow.columns[::-1]].assign(more=1),
        "another index": arrow.set_axis([7, 7, 3, 0]),
    }


@pytest.mark.parametrize("name", list(variants()))
def test_any_kind_of_frame_gives_what_the_arrow_chunk_gives(name: str) -> None:
    m = model()
    expected = m.score_columns(to_columns(TABLE))
    frame = variants()[name]
    np.testing.assert_array_equal(m.decision_function(frame), expected.linear)
    np.testing.assert_array_equal(m.predict_proba(frame), expected.probabilities)
    assert m.predict(frame).tolist() == expected.predictions.tolist()


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "age": st.none() | st.integers(-(2**53), 2**53),
                "gain": st.none() | st.floats(-2, 1e6),
                "member": st.none() | st.booleans(),
                "job": st.none() | st.sampled_from(["clerk", "smith", "", "baker"]),
                "born": st.none() | st.dates(),
                "seen": st.none()
                | st.datetimes(
                    dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC)
                ),
            }
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=50, deadline=None)
def test_arrow_and_pandas_rows_become_the_same_arrays(rows) -> None:
    schema = TABLE.schema.remove(TABLE.schema.get_field_index("income"))
    table = pa.Table.from_pylist(rows, schema=schema)
    prepared = model().prepared
    from_arrow = prepared.apply(to_columns(table))
    for frame in (table.to_pandas(types_mapper=pd.ArrowDtype), table.to_pandas()):
        from_frame = prepared.apply(read_frame(frame, INPUTS).columns)
        np.testing.assert_array_equal(from_arrow.dense, from_frame.dense)
        np.testing.assert_array_equal(from_arrow.codes, from_frame.codes)
        a, b = from_arrow.problems, from_frame.problems
        assert (a is None and b is None) or a.tolist() == b.tolist()


def test_a_missing_column_is_named_with_its_nearest() -> None:
    frame = pandas_frame().rename(columns={"age": "Age"}).drop(columns="job")
    with pytest.raises(UserError) as caught:
        model().predict(frame)
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        "age: the frame has no such column; did you mean 'Age'?",
        "job: the frame has no such column; there are 'Age', 'gain', 'member', 'born', 'seen'",
    ]


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("job", [1, 2, 3, 4], "job: is text in the model, and was given 1"),
        ("age", pd.to_datetime(["2020-01-01"] * 4), "age: is integer in the model"),
        ("seen", pd.to_datetime(["2020-01-01"] * 4), "without a zone"),
        ("born", [1, 2, 3, 4], "born: is date in the model"),
        ("age", [1, 2], "gain: has 4 rows, and the first column 2"),
    ],
)
def test_a_column_of_another_type_or_length_is_refused(column, values, text) -> None:
    frame = {name: pandas_frame()[name] for name in pandas_frame()} | {column: values}
    with pytest.raises(UserError) as caught:
        model().predict(frame)
    assert text in str(caught.value)


def test_rows_without_columns_are_a_users_mistake() -> None:
    for rows, kind in (("new.csv", "str"), (np.zeros((2, 3)), "ndarray")):
        with pytest.raises(UserError, match=f"a mapping of columns, found a {kind}; read a file"):
            read_frame(rows, INPUTS)  # type: ignore[arg-type]  # on purpose


def test_values_that_cannot_be_read_are_problems_of_their_rows() -> None:
    frame = {name: TABLE.column(name).to_pylist() for name in TABLE.column_names}
    frame |= {"age": ["30", "old", 50, "1_000"], "born": ["1990-01-02", "soon", None, None]}
    assert model().problems(frame).tolist() == [
        None,
        "'age': 'old' cannot be read as integer; 'born': 'soon' cannot be read as date",
        "'gain' is missing",
        "'age': '1_000' cannot be read as integer",
    ]


def test_declared_formats_and_zones_read_texts_as_the_files_reader_does() -> None:
    inputs = (
        InputColumn("day", "date", format="%d/%m/%Y"),
        InputColumn("moment", "timestamp", zone=ZONE, format="%Y-%m-%d %H:%M"),
    )
    columns = read_frame({"day": ["02/01/2020"], "moment": ["2020-07-01 12:00"]}, inputs).columns
    assert columns["day"].values[0] == np.datetime64("2020-01-02")
    assert columns["moment"].values[0] == np.datetime64("2020-07-01T16:00")


def test_missing_values_may_be_listed_by_column() -> None:
    inputs = (InputColumn("a", "text"), InputColumn("b", "text"))
    columns = read_frame({"a": ["?", "x"], "b": ["?", "x"]}, inputs, {"a": ("?",)}).columns
    assert columns["a"].missing.tolist() == [True, False]
    assert columns["b"].missing.tolist() == [False, False]


def test_it_replays_the_steps_from_read_to_prepare(tmp_path, monkeypatch) -> None:
    (tmp_path / "my_steps.py").write_text(
        "def add_gain(frame):\n"
        "    assert str(frame.dtypes['years']) == 'int64[pyarrow]'\n"
        "    return frame.assign(gain=frame['years'] / 10)[['gain']]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    m = model(
        inputs=(InputColumn("years", "integer"), *(i for i in INPUTS if i.name != "gain")),
        replay=(
            PythonStep("my_steps:add_gain", (InputColumn("gain", "number"),)),
            Drop(("age",)),
            Rename({"years": "age"}),
        ),
    )
    save_bundle(tmp_path / "model", m)
    frame = pandas_frame().rename(columns={"gain": "years"}).assign(years=[10, 20, None, 40])
    frame["years"] = frame["years"].astype("int64[pyarrow]")
    direct = pandas_frame().assign(age=[10, 20, None, 40], gain=[1.0, 2.0, None, 4.0])
    np.testing.assert_array_equal(
        load(tmp_path / "model").decision_function(frame), model().decision_function(direct)
    )


def test_a_python_step_that_is_not_here_is_said_in_plain_words() -> None:
    m = model(replay=(PythonStep("no_such_module:f", ()),))
    with pytest.raises(RunError, match="no_such_module:f, which is not here"):
        m.predict(pandas_frame())


def test_a_run_folder_gives_its_model(tmp_path: Path) -> None:
    save_bundle(tmp_path / "models" / "quick", model(name="quick"))
    assert load(tmp_path).name == "quick"
    save_bundle(tmp_path / "models" / "sparse", model(name="sparse"))
    with pytest.raises(UserError, match=r"several models.*models/quick.*models/sparse"):
        load(tmp_path)
    save_bundle(tmp_path / "model", model(name="chosen"))
    assert load(tmp_path).name == "chosen"
    assert load(tmp_path / "models" / "sparse").name == "sparse"


def test_a_path_without_a_model_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a bundle nor a run folder"):
        load(tmp_path)
    with pytest.raises(UserError, match="there is nothing at"):
        load(tmp_path / "absent")


def test_a_changed_or_missing_file_is_named(tmp_path: Path) -> None:
    save_bundle(tmp_path, model())
    document = json.loads((tmp_path / "bundle.json").read_text())
    (tmp_path / "bundle.json").write_text(json.dumps({**document, "intercept": 9}))
    with pytest.raises(RunError, match=r"bundle\.json: the file is not the one that was written"):
        load(tmp_path)
    (tmp_path / "coefficients.npy").unlink()
    with pytest.raises(RunError, match=r"coefficients\.npy: the file is missing"):
        load(tmp_path)
    save_bundle(tmp_path, model())
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"no manifest\.json"):
        load(tmp_path)


def test_a_bundle_of_a_later_format_is_refused(tmp_path: Path) -> None:
    save_bundle(tmp_path, model())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(RunError, match="format 2 cannot be read here"):
        load(tmp_path)


def in_a_fresh_process(code: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], check=True, timeout=60
    )


def test_it_predicts_where_only_numpy_is_installed(tmp_path: Path) -> None:
    save_bundle(tmp_path, model())
    expected = model().predict_proba(pandas_frame())[0, 1]
    in_a_fresh_process(
        """
        import sys
        absent = ("dask", "distributed", "pyarrow", "pydantic", "pandas", "ruamel", "typer")
        sys.modules.update(dict.fromkeys(absent))
        import lepton_dask
        model = lepton_dask.load(sys.argv[1])
        row = {
            "age": [30], "gain": [0.0], "member": [True], "job": ["clerk"],
            "born": ["1990-01-02"], "seen": ["1970-01-01T00:00:00+00:00"],
        }
        assert model.predict_proba(row)[0, 1] == float(sys.argv[2]), model.predict_proba(row)
        """,
        str(tmp_path),
        repr(float(expected)),
    )


def test_it_predicts_pandas_frames_with_dask_absent(tmp_path: Path) -> None:
    save_bundle(tmp_path, model())
    pandas_frame().to_pickle(tmp_path / "frame.pkl")
    in_a_fresh_process(
        """
        import sys
        import lepton_dask
        import pandas as pd
        model = lepton_dask.load(sys.argv[1])
        assert len(model.predict(pd.read_pickle(sys.argv[1] + "/frame.pkl"))) == 4
        assert len(model.coefficients) == len(model.features)
        for name in ("dask", "distributed", "pydantic", "ruamel.yaml"):
            assert name not in sys.modules, name
        """,
        str(tmp_path),
    )


def test_the_public_names_are_these() -> None:
    assert {"load", "Model", "__version__"} <= set(lepton_dask.__all__)
    assert {"LeptonError", "UserError", "RunError", "ClusterError", "Interrupted"} <= set(
        lepton_dask.__all__
    )
    for name in lepton_dask.__all__:
        assert getattr(lepton_dask, name) is not None
    assert lepton_dask.Model is Model
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = lepton_dask.lode


SAID = pa.table(
    {
        "said": pa.array(["red car", "blue", None, "", "a red boat", "The car!"]),
        "note": pa.array(["x y", "y", "x", "z z z", None, "w"]),
        "age": pa.array([30.0, 20.0, 50.0, 60.0, 10.0, None]),
        "kind": pa.array(["c", "b", "a", "b", "c", "a"]),
    }
)


def many_model(task="many_classes", **changes) -> Model:
    """A number and two hashed texts, for the classes a, b and c, or for c against b."""
    target = "kind" if task == "many_classes" else {"column": "kind", "positive": "c"}
    rows = SAID if task == "many_classes" else SAID.filter(pc.not_equal(SAID["kind"], "a"))
    prepare = Prepare.model_validate({"target": target, "text": {"hash": True}})
    profile = profile_table(rows)
    treatments, mistakes = resolve_treatments(prepare, profile.schema, (), task)
    assert mistakes == []
    columns = to_columns(rows)
    touched = {
        each.column: each.treatment.ngrams.touched(columns[each.column])
        for each in treatments
        if isinstance(each.treatment, Hash)
    }
    fitted = fit(treatments, prepare, profile, profile, at=(), task=task, touched=touched)
    rng = np.random.default_rng(8)
    shape = (3,) if task == "many_classes" else ()
    made = Model(
        name="said",
        created="2026-08-01T12:00:00Z",
        version="0.1.0",
        source=Source({"format": "csv"}, ()),
        inputs=(
            InputColumn("said", "text"),
            InputColumn("note", "text"),
            InputColumn("age", "number"),
        ),
        missing_values=(),
        replay=(),
        prepared=fitted.prepared,
        loss="multinomial" if task == "many_classes" else "logistic",
        coefficient_array=rng.normal(size=(len(fitted.prepared.features), *shape)),
        intercept=(0.25, -0.5, 0.125) if task == "many_classes" else 0.25,
    )
    return replace(made, **changes)


def design(m: Model) -> np.ndarray:
    rows = m.prepared.apply(to_columns(SAID))
    sparse = np.zeros((SAID.num_rows, m.prepared.layout.sparse))
    row = np.repeat(np.arange(SAID.num_rows), np.diff(rows.sparse.starts))
    sparse[row, rows.sparse.columns] = rows.sparse.values
    return np.hstack([rows.dense, sparse])


@pytest.mark.parametrize("at_a_time", [1, 100, 1 << 20])
@pytest.mark.parametrize("task", ["many_classes", "classification"])
def test_hashed_texts_are_scored_as_their_dense_columns_would_be(
    task: str, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "PRODUCTS_AT_A_TIME", at_a_time)
    m = many_model(task)
    z = design(m) @ m.coefficient_array + m.intercept
    np.testing.assert_allclose(m.decision_function(SAID.to_pandas()), z, rtol=1e-12)


def test_each_of_many_classes_has_a_probability_and_the_most_probable_is_predicted() -> None:
    m = many_model()
    z = design(m) @ m.coefficient_array + m.intercept
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    frame = SAID.to_pandas()
    np.testing.assert_allclose(m.predict_proba(frame), p, rtol=1e-12)
    assert m.classes == ("a", "b", "c")
    assert m.predict(frame).tolist() == [m.classes[k] for k in p.argmax(axis=1)]
    assert m.coefficients.columns.tolist() == ["a", "b", "c"]
    assert m.coefficients.index.tolist() == list(m.features)


def test_a_row_of_many_classes_that_cannot_be_scored_has_no_prediction() -> None:
    m = many_model()
    frame = {"said": ["red", "red"], "note": ["x", "x"], "age": ["30", "old"]}
    assert m.predict(frame)[0] is not None
    assert m.predict(frame)[1] is None
    assert np.isnan(m.predict_proba(frame)[1]).all()


def test_a_saved_model_of_many_classes_and_hashed_texts_is_the_model(tmp_path: Path) -> None:
    saved = many_model()
    save_bundle(tmp_path / "model", saved)
    loaded = load(tmp_path / "model")
    for name in {field.name for field in fields(Model)} - {"coefficient_array"}:
        assert getattr(loaded, name) == getattr(saved, name)
    assert loaded.coefficient_array.tobytes() == saved.coefficient_array.tobytes()
    frame = SAID.to_pandas()
    assert loaded.predict_proba(frame).tobytes() == saved.predict_proba(frame).tobytes()
    assert (tmp_path / "model" / "texts" / "1.npy").is_file()


def test_a_loss_with_parameters_keeps_them(tmp_path: Path) -> None:
    saved = model("regression", "age", loss="tweedie", loss_parameters={"power": 1.25})
    save_bundle(tmp_path, saved)
    assert load(tmp_path).loss_parameters == {"power": 1.25}
    frame = pandas_frame()
    z = saved.decision_function(frame)
    np.testing.assert_allclose(load(tmp_path).predict(frame), np.exp(z), rtol=1e-12)


def test_coefficients_of_another_shape_than_the_classes_are_refused() -> None:
    m = many_model()
    with pytest.raises(ValueError, match="are needed"):
        replace(m, coefficient_array=m.coefficient_array[:, :2])
