"""The JSON Schemas: valid themselves, and of one mind with the loader on whole files."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from lepton_dask.config.document import Document
from lepton_dask.config.load import load_pipeline
from lepton_dask.config.schema import config_schema, pipeline_schema

MEDICAL = """\
name: medical_diagnosis
seed: 7
steps:
  cells:
    read: {path: a.csv, header: false, skip_rows: 1, columns: [mean_radius, ..., diagnosis]}
  parts: {split: {train: 0.6, validation: 0.2, test: 0.2, stratify: diagnosis}}
  features: {prepare: {target: {column: diagnosis, positive: 0}}}
  model: {train: {loss: logistic, penalty: {l2: 1.0e-2}}}
  scores:
    evaluate:
      metrics: [roc_auc, recall, precision]
      threshold: {metric: recall, at_least: 0.97}
      goals: [{metric: roc_auc, part: test, at_least: 0.98}]
"""
FINANCE = """\
name: financial_analysis
steps:
  people: {read: {path: data/adult/adult.parquet, missing_values: ["?"]}}
  parts: {split: {train: 0.7, validation: 0.1, test: 0.2, stratify: income}}
  features:
    prepare:
      target: {column: income, positive: ">50K"}
      exclude: [fnlwgt, education]
      numeric: {impute: median, scale: standard}
      categorical: {minimum_count: 20}
      columns:
        "^capital-.*$": {transform: log1p}
        native-country: {minimum_count: 100}
  model: {train: {loss: logistic, goal: {metric: roc_auc, at_least: 0.90}}}
  scores: {evaluate: {metrics: [roc_auc, log_loss], by: gender}}
"""
FLIGHTS = """\
name: flights
defaults: {read: {missing_values: ["NA"]}}
steps:
  flights:
    read:
      path: flights.csv.zip
      types: {time_hour: {timestamp: "%Y-%m-%dT%H:%M:%SZ", zone: UTC}}
  calendar: {derive: {columns: {weekday: "weekday(local(time_hour, 'America/New_York'))"}}}
  parts: {split: {time: time_hour, validation: "2013-09-15", test: "2013-10-19"}}
  features:
    prepare:
      target: {expression: "arr_delay >= 30"}
      exclude: [dep_time, dep_delay, arr_time, air_time, tailnum, flight]
      columns: {"^(hour|month|weekday)$": {as: category}}
  model: {train: {loss: logistic}}
  scores: {evaluate: {metrics: [roc_auc]}}
"""
SMART_HOME = """\
name: smart_home
steps:
  homes: {read: {path: "data/homes/Building_{home}.csv", row_number: t}}
  tidy: {clean: {drop: ["^(Indoor|Average) .*$"], rename: {"Equipment Electric Power [kWh]": kwh}}}
  lags: {derive: {group: home, order: t, columns: {yesterday: "lag(kwh, 24)"}}}
  parts: {split: {time: t, train: 0.7, validation: 0.1, test: 0.2}}
  features: {prepare: {target: kwh, exclude: [t], columns: {Hour: {as: category}}}}
  model: {train: {loss: squared}}
  scores:
    evaluate:
      metrics: [rmse]
      goals: [{metric: rmse, part: test, better_than: [mean, yesterday]}]
"""
INTENTS = """\
name: intents
steps:
  sentences:
    read:
      path: {train: "a.json#/train", validation: "a.json#/val", test: "a.json#/test"}
      columns: [text, intent]
  features:
    prepare:
      target: intent
      columns: {text: {hash: {words: [1, 2], characters: [2, 4], buckets: 262144}}}
  model: {train: {loss: logistic, penalty: {l2: 1.0e-5}}}
  scores:
    evaluate:
      metrics: [accuracy]
      goals: [{metric: accuracy, part: test, at_least: 0.915}]
"""
BAKEOFF = """\
name: bakeoff
vars: {l2: 1.0e-4}
steps:
  people: {read: {path: "${env.INCOME:-data/adult/adult.parquet}", missing_values: ["?"]}}
  parts: {split: {train: 0.7, validation: 0.1, test: 0.2}}
  features: {prepare: {target: {column: income, positive: ">50K"}}}
  quick:
    from: features
    train: {loss: logistic, optimizer: lbfgs, penalty: {l2: "${vars.l2}"}}
    priority: {importance: critical}
  sparse: {from: features, train: {loss: logistic, penalty: {l2: 1.0e-3}}, priority: low}
  best:
    from: [quick, sparse]
    evaluate: {metrics: [roc_auc, log_loss], choose: {metric: roc_auc, part: validation}}
  out: {predict: {part: test}}
  save: {write: {path: predictions.parquet}}
"""
PIPELINES = {
    "medical": MEDICAL,
    "finance": FINANCE,
    "flights": FLIGHTS,
    "smart_home": SMART_HOME,
    "intents": INTENTS,
    "bakeoff": BAKEOFF,
}


def data(text: str, folder: Path) -> object:
    (folder / "a.yaml").write_text(text)
    return json.loads(json.dumps(Document.read(folder / "a.yaml").data))


def validator(schema: dict[str, object]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


@pytest.mark.parametrize("name", PIPELINES)
def test_the_files_of_the_grammar_fit_the_schema_and_load(name: str, tmp_path: Path) -> None:
    validator(pipeline_schema()).validate(data(PIPELINES[name], tmp_path))
    loaded = load_pipeline(tmp_path / "a.yaml", environment={})
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 7", "seed: '7'"),
        ("seed: 7", "seed: -1"),
        ("name: medical_diagnosis", "nam: medical_diagnosis"),
        ("loss: logistic", "loss: logistc"),
        ("penalty: {l2: 1.0e-2}", "penalty: {l3: 1.0e-2}"),
        ("l2: 1.0e-2", "l2: '1.0e-2'"),
        ("header: false", "header: no"),
        ("model: {train", "model: {trian"),
        ("model: {", "model: {write: {path: x}, "),
        ("model: {", "model: {retries: -1, "),
        ("model: {", "model: {from: a.b, "),
        ("metric: recall", "metric: recal"),
    ],
)
def test_what_the_schema_refuses_the_loader_refuses(old: str, new: str, tmp_path: Path) -> None:
    assert old in MEDICAL
    broken = data(MEDICAL.replace(old, new, 1), tmp_path)
    assert not validator(pipeline_schema()).is_valid(broken)
    with pytest.raises(Exception, match=r"a\.yaml:\d+:\d+"):
        load_pipeline(tmp_path / "a.yaml", environment={})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 7", "seed: ${vars.seed}"),
        ("loss: logistic", 'loss: "${env.LOSS:-logistic}"'),
        ("header: false", 'header: "${vars.header}"'),
        ("l2: 1.0e-2", 'l2: "${vars.l2}"'),
    ],
)
def test_references_stand_where_scalars_do(old: str, new: str, tmp_path: Path) -> None:
    variables = "vars: {seed: 1, header: false, l2: 1e-3}\n"
    text = MEDICAL.replace(old, new)
    validator(pipeline_schema()).validate(data(variables + text, tmp_path))
    load_pipeline(tmp_path / "a.yaml", environment={})


def test_the_schema_of_a_configuration(tmp_path: Path) -> None:
    check = validator(config_schema())
    good = "cluster: {kind: local, memory_per_worker: 2GiB}\npriorities: {low: {weight: 1}}"
    check.validate(data(good, tmp_path))
    check.validate(data('cluster: {kind: address, address: "${env.SCHEDULER}"}', tmp_path))
    assert not check.is_valid(data("cluster: {kind: lcal}", tmp_path))
    assert not check.is_valid(data("priorities: {lo: {weight: 1}}", tmp_path))
