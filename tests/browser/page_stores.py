"""Stores that the tests of the page look into: one with real runs, and one with absurdly much in it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILLING = ROOT / "benchmarks" / "projects" / "filling.py"

PROJECT = '''"""Who leaves next month: a small model of customers."""

import time

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import fairway as fw


@fw.task
def clean(rows: int) -> pd.DataFrame:
    """Make a table of customers, some of whose ages are missing."""
    random = np.random.default_rng(rows)
    table = pd.DataFrame(random.normal(size=(rows, 4)), columns=["age", "visits", "spent", "days"])
    table.loc[::10, "age"] = np.nan
    table["left"] = (table["visits"] + random.normal(scale=0.5, size=rows) > 0).astype(int)
    return table


@fw.task
def fit(table: pd.DataFrame, epochs: int, rate: float) -> tuple[LogisticRegression, float]:
    """Fit a model and log its loss."""
    known = table.dropna()
    features, target = known[["age", "visits", "spent", "days"]], known["left"]
    model = LogisticRegression(C=rate).fit(features, target)
    for epoch in range(epochs):
        fw.log(loss=1 / (1 + epoch * rate), step=epoch)
    for line in range(200):
        print(f"{'WARNING: slow' if line == 150 else 'INFO: fine'} at line {line}")
    return model, float(model.score(features, target))


@fw.task
def weigh(share: float) -> float:
    """Fail where a share is no share."""
    if share > 1:
        raise ValueError(f"a share of {share} is more than all")
    return share


@fw.task
def rest(seconds: float) -> float:
    """Take a while."""
    for number in range(int(seconds * 10)):
        print(f"rested {number}", flush=True)
        time.sleep(0.1)
    return seconds


@fw.pipeline
def churn(rows: int = 400, epochs: int = 10, rate: float = 1.0) -> fw.ModelVersion:
    """Tell who leaves next month."""
    table = clean(rows)
    model, score = fit(table, epochs, rate)
    fw.log(auc=fw.value(score))
    return fw.register("churn", model, sample=table[["age", "visits", "spent", "days"]].dropna().head(8))


@fw.pipeline
def broken(share: float = 1.5) -> float:
    """Fail in its only step."""
    return weigh(share)


@fw.pipeline
def slow(seconds: float = 60.0) -> float:
    """Take a while."""
    return rest(seconds)
'''


class LOUD:
    """A log of many lines, one of which is a warning."""

    lines = 1_000_000
    warning = 654_321


class Place:
    """A folder with a project and its platform process.

    Attributes:
        cookies: those of somebody who has come in; none before the first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "HOME": str(folder / "home"), "CI": "1"}
        self.cookies: list[Any] = []

    def fairway(self, *words: str, expect: int | None = 0) -> str:
        """Run a command to its end, check its exit code, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert expect is None or done.returncode == expect, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self) -> None:
        """Start the platform process."""
        self.fairway("up")

    def stop(self) -> None:
        """Stop the platform process and all that serves."""
        self.fairway("down", expect=None)

    @property
    def process(self) -> int:
        """The id of the platform process."""
        return int(self._record()["pid"])

    @property
    def url(self) -> str:
        """The address of the platform."""
        return f"http://127.0.0.1:{self._record()['port']}"

    @property
    def token(self) -> str:
        """The token of the platform."""
        return (self.folder / ".fairway" / "platform" / "token").read_text("utf-8").strip()

    def runs(self) -> list[str]:
        """Names of the runs, newest first."""
        return [run["name"] for run in json.loads(self.fairway("runs", "--json"))]

    def loud(self) -> str:
        """The name of the run whose step `fit` printed much."""
        return self.runs()[-1]

    def _record(self) -> dict[str, int]:
        return json.loads((self.folder / ".fairway" / "platform" / "platform.json").read_bytes())


def small(place: Place) -> None:
    """Make two versions of a model, the first of which serves, and a failed run."""
    (place.folder / "project.py").write_text(PROJECT, "utf-8")
    place.fairway("run", "project.py:churn", "--quiet")
    place.fairway("deploy", "churn:1")
    place.fairway("run", "project.py:churn", "--rate", "0.1", "--quiet")
    place.fairway("run", "project.py:broken", "--quiet", expect=None)
    log = place.folder / ".fairway" / "runs" / place.loud() / "logs" / "fit.1.log"
    with log.open("w", encoding="utf-8") as file:
        for line in range(1, LOUD.lines + 1):
            word = "WARNING: slow" if line == LOUD.warning else "INFO: fine"
            file.write(f"1795962010.308255 {word} at line {line}\n")


def fill(place: Place, *words: str) -> None:
    """Write the store of a place by the program that fills stores, with these words."""
    done = subprocess.run(
        [sys.executable, str(FILLING), str(place.folder / ".fairway"), *words],
        env=place.environment,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
