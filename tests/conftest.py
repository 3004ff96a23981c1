"""`--full` asks for the sizes that a release is proven with; `measured` writes down what such a run saw."""

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

import fairway

RESULTS = Path(__file__).parent / "results"

Figure = str | int | float | bool


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="full sizes; the figures go to tests/results")
    parser.addoption(
        "--soak", type=float, default=30.0, metavar="MINUTES", help="how long load lasts with --full"
    )


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the sizes of a release are asked for; otherwise a test takes a few seconds."""
    return bool(request.config.getoption("--full"))


Measured = Callable[..., None]


@pytest.fixture
def measured(full: bool, record_property: Callable[[str, object], None]) -> Measured:
    """Call it as `measured("T4", "Kills of steps, hosts, drivers", goal="0 lost", kills=500, lost=0)` after the checks.

    At full size it writes `tests/results/T4.json`, from which `python tests/report.py` makes `docs/reliability.md`.
    """

    def write(identity: str, title: str, *, goal: str, **seen: Figure) -> None:
        for name, figure in seen.items():
            record_property(name, figure)
        if not full:
            return
        RESULTS.mkdir(exist_ok=True)
        told = {
            "id": identity,
            "title": title,
            "goal": goal,
            "seen": seen,
            "date": datetime.now(UTC).date().isoformat(),
            "fairway": fairway.__version__,
            "commit": _commit(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }
        (RESULTS / f"{identity}.json").write_text(
            json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8"
        )

    return write


def _commit() -> str:
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=RESULTS.parent,
    )
    return said.stdout.strip() or "unknown"
