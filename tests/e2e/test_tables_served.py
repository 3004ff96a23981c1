"""Tables with categories, dates and missing values, from the registration to single requests, by the real command line."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project

pytest.importorskip("xgboost")

PROJECT = """
import numpy as np
import pandas as pd
import xgboost

NUMBERS = ["tenure_months", "monthly_charge", "support_calls"]
DROPPED = ["churned", "customer_id"]

class Customers:
    def __init__(self, trees):
        self.trees = trees

    def features(self, table):
        age = (pd.Timestamp("2026-01-01") - table["signup_date"]).dt.days
        return table.drop(columns="signup_date").assign(age=age)

    def predict(self, table):
        return self.trees.predict_proba(self.features(table))[:, 1]

def customers(rows):
    random = np.random.default_rng(0)
    table = pd.DataFrame({
        "customer_id": np.arange(rows),
        "tenure_months": random.integers(1, 60, rows).astype(float),
        "monthly_charge": random.normal(60, 20, rows).round(2),
        "support_calls": random.integers(0, 8, rows),
        "plan": random.choice(["basic", "plus", "pro"], rows),
        "country": random.choice(["DE", "\u00d6sterreich", "\u65e5\u672c"], rows),
        "signup_date": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 2000, rows), unit="D"),
        "senior": random.integers(0, 2, rows).astype(bool),
    })
    table["churned"] = ((table.country == "\u65e5\u672c") | (table.support_calls > 5)).astype(int)
    table.loc[40:45, "tenure_months"] = np.nan
    table.loc[46:48, "country"] = None
    table.loc[49, "signup_date"] = pd.NaT
    return table.astype({"plan": "category", "country": "category"})

@fw.task
def train() -> tuple[object, pd.DataFrame]:
    table = customers(60)
    model = Customers(None)
    taken = table.drop(columns=DROPPED)
    model.trees = xgboost.XGBClassifier(n_estimators=8, enable_categorical=True)
    model.trees.fit(model.features(taken), table.churned)
    taken.assign(expected=model.predict(taken)).to_json("expected.json", orient="records", date_format="iso")
    return model, taken

@fw.task
def empty() -> dict:
    return {}

@fw.pipeline
def churn():
    model, table = train()
    return fw.register("churn", model, sample=table)

@fw.pipeline
def bare():
    return fw.register("bare", train()[0])

@fw.pipeline
def data():
    return fw.register("data", empty())
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    made.write(PROJECT)
    yield made
    made.fairway("down", expect=None)


def ask(address: str, path: str, body: object = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address, timeout=240)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_every_row_of_a_table_is_answered_alone_as_in_training(project: Project) -> None:
    project.fairway("run", "project.py:churn")
    url = project.fairway("deploy", "churn").stdout.strip()
    address = url.removeprefix("http://").partition("/")[0]
    rows = json.loads((project.folder / "expected.json").read_text())
    expected = [row.pop("expected") for row in rows]
    assert any(row["tenure_months"] is None for row in rows[32:])
    for row, wanted in zip(rows, expected, strict=True):
        assert ask(address, "/", row) == (200, pytest.approx(wanted, abs=1e-4))
    assert ask(address, "/", rows) == (200, pytest.approx(expected, abs=1e-4))
    assert ask(address, "/", {**rows[0], "plan": "gold"})[0] == 200
    status, refused = ask(address, "/", {**rows[0], "signup_date": "soon"})
    assert status == 400
    assert "field 'signup_date' needs a date and time in ISO 8601" in refused["error"]
    features = ask(address, "/v2/models/churn")[1]["parameters"]["features"]
    assert features["plan"] == {"kind": "category", "categories": ["basic", "plus", "pro"]}
    assert features["signup_date"]["kind"] == "datetime"
    assert features["tenure_months"] == {"nullable": True}


def test_what_cannot_be_served_is_not_announced(project: Project) -> None:
    done = project.fairway("run", "project.py:bare")
    assert "To serve it" not in done.stderr
    assert "bare has no sample, so it cannot be served yet" in done.stderr
    named = project.fairway("models", "alias", "bare", "champion", "1").stderr
    assert "bare@champion is version 1" in named
    assert "it has no sample, so it cannot be served" in named
    refused = project.fairway("deploy", "bare@champion", expect=2).stderr
    assert "bare version 1 was registered without a sample" in refused
    assert "as `sample=`" in refused
    assert not project.fairway("endpoints").stdout.strip()
    done = project.fairway("run", "project.py:data", expect=1)
    assert "a dict is no model" in done.stderr
