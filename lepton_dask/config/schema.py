"""JSON Schema (2020-12) of pipeline and configuration files, for editors.

Made from the components, so that it says what they take; the shape of a step (one verb, and what
every step may have) and of the file's top are written here, because they are no components. What
needs more than one value to judge (edges, parts, units) is left to `lepton validate`.
"""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from lepton_dask.component import ComponentList
from lepton_dask.config.cluster import ClusterConfig
from lepton_dask.config.pipeline import (
    SHARED_KEYS,
    VERBS,
    Heading,
    Priority,
    StepSettings,
)
from lepton_dask.parts import PARTS

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
Schema = dict[str, Json]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{[^{}]+\}"}
_VALIDATION: JsonSchemaMode = "validation"


def pipeline_schema() -> Schema:
    """The schema of a pipeline file. `${...}` may stand wherever a scalar may."""
    components: list[type[BaseModel]] = [*VERBS.values(), StepSettings, Heading, Priority]
    definitions = _definitions(components)
    heading = _properties(definitions.pop("Heading"))
    shared = _properties(definitions.pop("StepSettings"))
    shared["priority"] = _or_level(definitions)
    verbs: Schema = {verb: {"$ref": f"#/$defs/{kind.__name__}"} for verb, kind in VERBS.items()}
    definitions["Step"] = _step(verbs, shared)
    return {
        "$schema": _DIALECT,
        "title": "lepton pipeline",
        "type": "object",
        "properties": {
            **heading,
            "extends": {"type": "string", "description": "A file that this one stands on."},
            "vars": {"type": "object"},
            "defaults": {
                "type": "object",
                "properties": {
                    verb: {"type": "object"}
                    for verb, kind in VERBS.items()
                    if not issubclass(kind, ComponentList)
                },
                "additionalProperties": False,
            },
            **shared,
            "steps": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": r"^\w[\w -]*$"},
                "additionalProperties": {"$ref": "#/$defs/Step"},
            },
        },
        # Both may come from the file that this one extends.
        "anyOf": [{"required": ["name", "steps"]}, {"required": ["extends"]}],
        "additionalProperties": False,
        "$defs": definitions,
    }


def config_schema() -> Schema:
    """The schema of a configuration file."""
    definitions = _definitions([ClusterConfig])
    top = cast("Schema", definitions.pop("ClusterConfig"))
    return {**top, "$schema": _DIALECT, "title": "lepton configuration", "$defs": definitions}


def _step(verbs: Schema, shared: Schema) -> Schema:
    name: Schema = {"type": "string", "pattern": rf"^[^.]+(\.({'|'.join(PARTS)}))?$"}
    source: Schema = {"anyOf": [name, {"type": "array", "items": name, "minItems": 1}]}
    return {
        "type": "object",
        "properties": {**verbs, "from": source, **{key: shared[key] for key in SHARED_KEYS}},
        "additionalProperties": False,
        "oneOf": [{"required": [verb]} for verb in verbs],
    }


def _definitions(components: list[type[BaseModel]]) -> Schema:
    """The components' schemas, and those that they refer to, by name."""
    _, schema = models_json_schema(
        [(component, _VALIDATION) for component in components],
        by_alias=True,
        ref_template="#/$defs/{model}",
    )
    definitions = cast("Schema", schema["$defs"])
    return {name: _with_references(definition) for name, definition in definitions.items()}


def _properties(definition: Json) -> Schema:
    return cast("Schema", cast("Schema", definition)["properties"])


def _or_level(definitions: Schema) -> Json:
    """`priority: critical` is short for `priority: {importance: critical}`."""
    level = _properties(definitions["Priority"])["importance"]
    return {"anyOf": [level, {"$ref": "#/$defs/Priority"}]}


def _with_references(schema: Json) -> Json:
    """The schema, with a reference allowed wherever a scalar is."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner: Schema = {}
    for key, value in schema.items():
        if key in ("properties", "$defs") and isinstance(value, dict):
            inner[key] = {name: _with_references(below) for name, below in value.items()}
        elif key in ("propertyNames", "discriminator", "default", "enum", "const"):
            inner[key] = value
        else:
            inner[key] = _with_references(value)
    if not _is_narrow_scalar(schema):
        return inner
    said: Schema = {
        key: inner.pop(key) for key in ("title", "description", "default") if key in inner
    }
    return {**said, "anyOf": [inner, _REFERENCE]}


def _is_narrow_scalar(schema: Schema) -> bool:
    """Whether the schema is for scalars and would refuse the text of a reference."""
    if "enum" in schema or "const" in schema:
        return True
    if schema.get("type") == "string":
        return not schema.keys().isdisjoint({"pattern", "minLength", "maxLength"})
    return schema.get("type") in ("number", "integer", "boolean")
