"""Fills the store of Prefect in `PREFECT_HOME` with finished runs: `filling_prefect.py RUNS SECONDS`. No server may run."""

import asyncio
import json
import os
import sqlite3
import sys
import uuid
from datetime import UTC, datetime, timedelta

from copied_rows import Row, copy
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Completed

_NOW = datetime.now(UTC)
_WANTED = int(sys.argv[1])
_TIMES = (
    "created",
    "updated",
    "start_time",
    "end_time",
    "expected_start_time",
    "state_timestamp",
    "timestamp",
)


@flow
def churn(epochs: int = 5, rate: float = 0.1) -> None:
    """Do nothing."""


def of_run(table: str, row: Row, place: int) -> Row:
    """Return what is different in a row of another run."""
    run, state = str(uuid.UUID(int=place)), str(uuid.UUID(int=1 << 100 | place))
    at = (_NOW - timedelta(seconds=0.06 * (_WANTED - place))).strftime("%Y-%m-%d %H:%M:%S.%f")
    own: Row = {name: at for name in _TIMES if row.get(name) is not None}
    if table == "flow_run_state":
        return own | {"id": state, "flow_run_id": run}
    parameters = {"epochs": 5 + place % 20, "rate": 0.001 * (1 + place % 7)}
    return own | {"id": run, "state_id": state, "name": f"n{place:07}", "parameters": json.dumps(parameters)}


async def record() -> str:
    """Record the first run through the client, and return its id."""
    async with get_client() as client:
        made = await client.create_flow_run(
            churn, name="n0000000", parameters={"epochs": 5, "rate": 0.001}, state=Completed()
        )
        return str(made.id)


def main(seconds: float) -> None:
    """Record the first run, and copy it for the others."""
    first = asyncio.run(record())
    with sqlite3.connect(f"{os.environ['PREFECT_HOME']}/prefect.db") as db:
        made = copy(db, {"flow_run": "id", "flow_run_state": "flow_run_id"}, first, _WANTED, seconds, of_run)
    newest = first if made == 1 else str(uuid.UUID(int=made - 1))
    print(json.dumps({"runs": made, "page": f"/runs/flow-run/{newest}", "list": "/runs"}))


main(float(sys.argv[2]))
