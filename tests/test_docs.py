"""The documents say what there is."""

from __future__ import annotations

import re

import pytest
from conftest import REPOSITORY

from lepton_dask.config.cluster import ClusterConfig
from lepton_dask.config.pipeline import TOP_KEYS, VERBS
from lepton_dask.data.expressions.functions import FUNCTIONS, WINDOWS
from lepton_dask.data.join import Join, JoinedTable
from lepton_dask.learn.metrics import METRICS

PIPELINE_FILE = (REPOSITORY / "docs" / "pipeline_file.md").read_text()
README = (REPOSITORY / "README.md").read_text()


def section(verb: str) -> str:
    if verb in ("predict", "write"):
        return PIPELINE_FILE.partition("## predict and write")[2]
    return PIPELINE_FILE.partition(f"## {verb}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("verb", VERBS)
def test_every_key_of_a_verb_is_documented(verb):
    node = JoinedTable if VERBS[verb] is Join else VERBS[verb]
    keys = [field.alias or name for name, field in node.model_fields.items()]
    text = section(verb)
    assert [key for key in keys if not re.search(rf"\b{key}\b", text)] == []


def test_every_key_of_the_top_and_every_metric_is_documented():
    assert [key for key in TOP_KEYS if f"{key}" not in PIPELINE_FILE] == []
    assert [name for name in METRICS if f"`{name}`" not in section("evaluate")] == []


def test_every_function_of_expressions_is_documented_as_it_is():
    text = (REPOSITORY / "docs" / "expressions.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| `\w+\(", line)]
    functions = [*FUNCTIONS.values(), *WINDOWS.values()]
    assert rows == [f"| `{each.signature}` | {each.does} |" for each in functions]


def test_every_key_of_a_configuration_is_documented():
    text = (REPOSITORY / "docs" / "configuration_file.md").read_text()
    assert [key for key in ClusterConfig.model_fields if f"`{key}`" not in text] == []


def test_the_readme_has_the_two_commands_that_ci_and_newcomers_run():
    assert "    pip install . && lepton run pipelines/medical_diagnosis.yaml\n" in README
    assert "    pip install '.[test]' && pytest\n" in README


def test_the_readmes_table_of_the_article_names_files_that_are_there():
    table = README.partition("## From the article")[2]
    named = re.findall(r"`([\w/]+\.(?:py|yaml))`", table)
    assert len(named) >= 6
    missing = [
        name
        for name in named
        if not (REPOSITORY / name).exists() and not (REPOSITORY / "lepton_dask" / name).exists()
    ]
    assert missing == []
