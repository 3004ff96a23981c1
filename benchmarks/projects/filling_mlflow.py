"""Fills a store of MLflow with finished runs: `filling_mlflow.py FILE RUNS SECONDS`. Prints the number and the newest run."""

import json
import math
import sqlite3
import sys
import time

from copied_rows import Row, copy
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

_TABLES = ("runs", "metrics", "latest_metrics", "params", "tags")
_NOW = int(1000 * time.time())
_WANTED = int(sys.argv[2])


def values(place: int) -> dict[str, float]:
    """Return the parameters and metrics of a run."""
    auc = 0.5 + 0.4999 * math.sin(place * 0.7) ** 2
    return {"epochs": 5 + place % 20, "rate": 0.001 * (1 + place % 7), "auc": auc, "loss": 1 - auc}


def of_run(table: str, row: Row, place: int) -> Row:
    """Return what is different in a row of another run."""
    own: Row = {"run_uuid": f"{place:032x}"}
    if table == "runs":
        begun = _NOW - 60 * (_WANTED - place)
        return own | {"name": f"n{place:07}", "start_time": begun, "end_time": begun + 2000}
    if row.get("key") == "mlflow.runName":
        return own | {"value": f"n{place:07}"}
    value = values(place).get(str(row["key"]))
    return own if value is None else own | {"value": str(value) if isinstance(row["value"], str) else value}


def main(file: str, seconds: float) -> None:
    """Record the first run, and copy it for the others."""
    client = MlflowClient(f"sqlite:///{file}")
    experiment = client.create_experiment("churn")
    first = client.create_run(experiment, run_name="n0000000", start_time=_NOW - 60 * _WANTED).info.run_id
    known = values(0)
    client.log_batch(
        first,
        metrics=[Metric(name, known[name], _NOW, 0) for name in ("auc", "loss")],
        params=[Param(name, str(known[name])) for name in ("epochs", "rate")],
    )
    client.set_terminated(first)
    with sqlite3.connect(file) as db:
        made = copy(db, dict.fromkeys(_TABLES, "run_uuid"), first, _WANTED, seconds, of_run)
    newest = first if made == 1 else f"{made - 1:032x}"
    print(
        json.dumps(
            {
                "runs": made,
                "page": f"/#/experiments/{experiment}/runs/{newest}",
                "list": f"/#/experiments/{experiment}/runs",
            }
        )
    )


main(sys.argv[1], float(sys.argv[3]))
