"""The bundle: the model that leaves. JSON and arrays, checksummed, no pickle.

bundle.json         what the model is and needs, everything but the coefficients
coefficients.npy    (D,) float64, in the order of "features"; of a multinomial model (D, K)
texts/<i>.npy       (S,) int32, the buckets that the i-th hashed text touches, where there are any
hidden/<i>.<a>.npy  weight (I, O) and bias (O,) of a network's i-th layer, if the model is one
prior/<name>.npy    what was learnt from many groups, if the model was
tables/<name>.npz   the rows of a table that predicting looks into, if there is one
manifest.json       the SHA-256 of each; written last, so that half a bundle is none
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lepton_dask.artifacts.commit import replacing, write_json
from lepton_dask.artifacts.frames import InputColumn, MissingValues
from lepton_dask.artifacts.predictor import Model, Source
from lepton_dask.artifacts.replay import replay_from_json, replay_to_json
from lepton_dask.artifacts.side_table import Recipe, SideTable, rows_from_bytes, rows_to_bytes
from lepton_dask.artifacts.stored_prior import StoredPrior
from lepton_dask.data.prepared import Prepared
from lepton_dask.errors import Mistake, RunError, UserError
from lepton_dask.learn.layers import Layer

FORMAT = 1
MANIFEST = "manifest.json"
DOCUMENT = "bundle.json"
COEFFICIENTS = "coefficients.npy"


def save_bundle(folder: Path, model: Model) -> None:
    """Writes a model into a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(_to_json(model), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    contents = {DOCUMENT: document.encode(), COEFFICIENTS: _array_bytes(model.coefficient_array)}
    contents |= {
        _text_file(i): _array_bytes(text.touched) for i, text in enumerate(model.prepared.texts)
    }
    contents |= {
        _table_file(table.name): rows_to_bytes(table.rows)
        for table in model.tables
        if table.rows is not None
    }
    for i, layer in enumerate(model.hidden):
        contents |= {
            _layer_file(i, name): _array_bytes(array) for name, array in layer._asdict().items()
        }
    if model.prior is not None:
        arrays = model.prior.arrays.items()
        contents |= {_prior_file(name): _array_bytes(array) for name, array in arrays}
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with replacing(folder / name) as stream:
            stream.write(content)
    write_json(folder / MANIFEST, {"format": FORMAT, "sha256": _checksums(contents)})


def load(run_or_bundle: str | Path) -> Model:
    """The model in a bundle, or in a run folder that has one.

    Raises UserError if there is no model at that path, or several and none chosen; RunError, with
    the file, if one is missing or is not what was written.
    """
    folder = _bundle_folder(Path(run_or_bundle))
    manifest = json.loads(_read(folder / MANIFEST))
    if manifest["format"] != FORMAT:
        raise RunError(
            f"bundles of format {manifest['format']} cannot be read here (format {FORMAT} can)",
            fix="use the version of lepton_dask that wrote it",
            file=str(folder / MANIFEST),
        )
    contents = {name: _read(folder / name) for name in manifest["sha256"]}
    for name, checksum in _checksums(contents).items():
        if checksum != manifest["sha256"][name]:
            raise RunError(
                "the file is not the one that was written: its checksum differs",
                fix="copy the bundle again, or train again",
                file=str(folder / name),
            )
    document = json.loads(contents[DOCUMENT])
    tables = tuple(_table(table, contents) for table in document.get("tables", ()))
    texts = document["prepared"].get("texts", ())
    touched = [_array(contents[_text_file(i)]) for i in range(len(texts))]
    prepared = Prepared.from_json(document["prepared"], touched)
    return _from_json(document, prepared, tables, contents)


def _bundle_folder(path: Path) -> Path:
    for folder in (path, path / "model"):
        if (folder / MANIFEST).is_file():
            return folder
    if (path / DOCUMENT).is_file():
        raise RunError("the bundle has no manifest.json", fix="copy it again", file=str(path))
    bundles = sorted(manifest.parent for manifest in path.glob(f"models/*/{MANIFEST}"))
    if len(bundles) == 1:
        return bundles[0]
    if bundles:
        names = ", ".join(str(bundle) for bundle in bundles)
        mistake = Mistake(
            (), f"{path} has several models and none was chosen", f"name one: {names}"
        )
    elif path.exists():
        mistake = Mistake((), f"{path} is neither a bundle nor a run folder with a model")
    else:
        mistake = Mistake((), f"there is nothing at {path}")
    raise UserError([mistake])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RunError("the file is missing", fix="copy the bundle again", file=str(path)) from None


def _checksums(contents: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _to_json(model: Model) -> dict[str, object]:
    """Everything but the coefficients. `classes`, `positive` and `features` follow from the rest
    and stand there for readers."""
    classes = model.classes
    return {
        "format": FORMAT,
        "name": model.name,
        "created": model.created,
        "lepton_dask": model.version,
        "source": asdict(model.source),
        "inputs": [asdict(column) for column in model.inputs],
        "missing_values": model.missing_values,
        "replay": [replay_to_json(step) for step in model.replay],
        "tables": [
            {
                "name": table.name,
                "columns": [asdict(column) for column in table.columns],
                "recipe": None if table.recipe is None else asdict(table.recipe),
            }
            for table in model.tables
        ],
        "prepared": model.prepared.to_json(),
        "loss": model.loss,
        "loss_parameters": dict(model.loss_parameters),
        "intercept": model.intercept,
        "threshold": model.threshold,
        "classes": classes,
        "positive": None if classes is None or model.is_multinomial else classes[-1],
        "features": model.features,
        "hidden": len(model.hidden),
        "prior": None if model.prior is None else model.prior.to_json(),
    }


def _text_file(number: int) -> str:
    return f"texts/{number}.npy"


def _array_bytes(array: np.ndarray[Any, np.dtype[Any]]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _array(content: bytes) -> np.ndarray[Any, np.dtype[Any]]:
    array: np.ndarray[Any, np.dtype[Any]] = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def _table_file(name: str) -> str:
    return f"tables/{name}.npz"


def _table(document: dict[str, Any], contents: dict[str, bytes]) -> SideTable:
    columns = _columns(document["columns"])
    content = contents.get(_table_file(document["name"]))
    rows = None if content is None else rows_from_bytes(content, columns)
    return SideTable(document["name"], columns, rows, _recipe(document.get("recipe")))


def _recipe(document: dict[str, Any] | None) -> Recipe | None:
    if document is None:
        return None
    return Recipe(document["read"], _columns(document["columns"]), tuple(document["steps"]))


def _layer_file(number: int, array: str) -> str:
    return f"hidden/{number}.{array}.npy"


def _prior_file(array: str) -> str:
    return f"prior/{array}.npy"


def _hidden(document: dict[str, Any], contents: Mapping[str, bytes]) -> tuple[Layer, ...]:
    return tuple(
        Layer(*(_array(contents[_layer_file(i, name)]) for name in Layer._fields))
        for i in range(document.get("hidden", 0))
    )


def _prior(document: dict[str, Any], contents: Mapping[str, bytes]) -> StoredPrior | None:
    stored = document.get("prior")
    if stored is None:
        return None
    arrays = {name: _array(contents[_prior_file(name)]) for name in stored["arrays"]}
    return StoredPrior.from_json(stored, arrays)


def _from_json(
    document: dict[str, Any],
    prepared: Prepared,
    tables: tuple[SideTable, ...],
    contents: Mapping[str, bytes],
) -> Model:
    intercept = document["intercept"]
    return Model(
        name=document["name"],
        created=document["created"],
        version=document["lepton_dask"],
        source=_source(document["source"]),
        inputs=_columns(document["inputs"]),
        missing_values=_missing_values(document["missing_values"]),
        replay=tuple(replay_from_json(step) for step in document["replay"]),
        prepared=prepared,
        loss=document["loss"],
        coefficient_array=_array(contents[COEFFICIENTS]),
        intercept=tuple(intercept) if isinstance(intercept, list) else intercept,
        threshold=document["threshold"],
        tables=tables,
        loss_parameters=document.get("loss_parameters", {}),
        hidden=_hidden(document, contents),
        prior=_prior(document, contents),
    )


def _source(document: dict[str, Any]) -> Source:
    return Source(
        document["read"],
        _columns(document["columns"]),
        tuple(document.get("captures", ())),
        tuple(document.get("patterns", ())),
    )


def _columns(document: list[dict[str, Any]]) -> tuple[InputColumn, ...]:
    return tuple(InputColumn(**column) for column in document)


def _missing_values(document: list[str] | dict[str, list[str]]) -> MissingValues:
    if isinstance(document, dict):
        return {name: tuple(values) for name, values in document.items()}
    return tuple(document)
