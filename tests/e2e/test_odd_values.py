"""Tables, texts and exceptions of odd kinds through real runs: each process reads what another one wrote."""

import json
import os
from typing import Any

import pytest
from projects import Project


def told(project: Project) -> Any:
    """What the project wrote down."""
    return json.loads((project.folder / "told.json").read_text())


TABLES = """
import json
from pathlib import Path
import pandas as pd

@fw.task
def monthly() -> pd.Series:
    data = pd.DataFrame({"t": pd.date_range("2024", periods=40), "v": 1})
    return data.groupby(data.t.dt.to_period("M")).v.sum()

@fw.task
def bins() -> pd.Series:
    return pd.Series([1, 2, 3]).value_counts(bins=2, sort=False)

@fw.task
def none_left() -> pd.DataFrame:
    return pd.DataFrame({"c": pd.Categorical(["a", "b"]), "n": [1, 2]}).query("n > 5")

@fw.task
def some_days() -> pd.DataFrame:
    days = pd.bdate_range("2024-01-01", periods=3, freq="C", weekmask="Mon Wed Fri")
    return pd.DataFrame({"v": [1, 2, 3]}, index=days)

@fw.task
def levels() -> dict[str, pd.DataFrame]:
    index = pd.MultiIndex.from_product([pd.date_range("2024", periods=2, freq="D"), ["a"]])
    return {"table": pd.DataFrame({"v": [1, 2]}, index=index), "bins": bins.function()}

@fw.task
def see(monthly: pd.Series, bins: pd.Series, none: pd.DataFrame, days: pd.DataFrame, levels: dict) -> None:
    told = [
        f"{type(monthly.index).__name__} {monthly.index.freqstr}",
        f"{type(bins.index).__name__} {bins.index.closed}",
        str(list(none.c.cat.categories)),
        f"{days.index.freq} {days.index.freq.weekmask}",
        f"{levels['table'].index.levels[0].freqstr} {type(levels['bins'].index).__name__}",
    ]
    Path("told.json").write_text(json.dumps(told))

@fw.pipeline
def tables():
    see(monthly(), bins(), none_left(), some_days(), levels())
"""


def test_tables_arrive_with_their_index_categories_and_frequencies(project: Project) -> None:
    pytest.importorskip("pandas")
    project.write(TABLES)
    project.fairway("run", "project.py")
    assert told(project) == [
        "PeriodIndex M",
        "IntervalIndex right",
        "['a', 'b']",
        "<CustomBusinessDay> Mon Wed Fri",
        "D IntervalIndex",
    ]


TEXTS = """
from pathlib import Path

@fw.task
def work(name: str) -> fw.File:
    print(name)
    fw.log(**{name: 1.0})
    fw.show([1, 2], title=name)
    Path(name).write_text("content")
    return fw.File(name)

@fw.task
def parts(name: str) -> dict:
    Path(name + "2").write_text("much " * 2000)
    return {name: fw.File(name + "2"), "name": name}

@fw.task
def read(one: fw.File, all: dict, name: str) -> None:
    assert one.path.read_text() == "content"
    assert Path(all[name]).read_text() == "much " * 2000
    assert all["name"] == name
    Path("told.json").write_text(f'"{name}"', errors="surrogateescape")

@fw.pipeline
def texts(name: str):
    read(work(name), parts(name), name)
"""


def test_texts_that_no_encoding_has_go_through_a_whole_run(project: Project) -> None:
    project.write(TEXTS)
    (project.folder / os.fsdecode(b"data-\xff.py")).write_text("unused = 1\n")
    name = os.fsdecode(b"out-\xff.csv")
    project.fairway("run", "project.py", "--name", name)
    assert (project.folder / "told.json").read_bytes() == b'"out-\xff.csv"'
    assert r"name=out-\udcff.csv" in project.fairway("show", project.newest()).stdout


EXCEPTIONS = """
import asyncio
import json
from pathlib import Path

class NoText(Exception):
    def __str__(self):
        raise RuntimeError

class Base(BaseException):
    pass

ODD = {
    "surrogates": lambda: ValueError("cannot parse data-\\udcff.csv"),
    "no text": NoText,
    "base": lambda: Base("x"),
    "long": lambda: ValueError("x" * 10**7),
    "exit": lambda: SystemExit(object()),
    "interrupt": KeyboardInterrupt,
    "stop": StopIteration,
    "cancelled": asyncio.CancelledError,
}

@fw.task
def fail(how: str) -> int:
    raise ODD[how]()

@fw.pipeline
def in_steps():
    steps = {how: fail(how) for how in ODD}
    told = {}
    for how, step in steps.items():
        try:
            fw.value(step)
        except Exception as error:
            told[how] = str(error)[:100]
    Path("told.json").write_text(json.dumps(told))

@fw.pipeline
def in_itself(how: str):
    raise ODD[how]()
"""

TOLD = {
    "surrogates": r"ValueError: cannot parse data-\udcff.csv",
    "no text": "project.NoText: <exception str() failed>",
    "base": "project.Base: x",
    "long": "ValueError: xxx",
    "exit": "the code called sys.exit(<object object at",
    "interrupt": "KeyboardInterrupt",
    "stop": "StopIteration",
    "cancelled": "CancelledError",
}


def test_a_step_ends_with_its_exception_whatever_that_is(project: Project) -> None:
    project.write(EXCEPTIONS)
    project.fairway("run", "project.py:in_steps", "--quiet")
    found = told(project)
    assert {how: expected for how, expected in TOLD.items() if expected not in found[how]} == {}


@pytest.mark.parametrize("how", ["surrogates", "no text", "base", "long", "stop"])
def test_a_pipeline_ends_with_its_exception_and_traceback(project: Project, how: str) -> None:
    project.write(EXCEPTIONS)
    done = project.fairway("run", "project.py:in_itself", "--how", how, expect=1)
    assert f"error: {TOLD[how]}" in done.stderr
    assert "raise ODD[how]()" in done.stderr
    assert "internal" not in done.stderr
    assert len(done.stderr) < 100_000


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (r'raise ValueError("cannot parse data-\udcff.csv")', r"ValueError: cannot parse data-\udcff.csv"),
        (
            "class E(BaseException):\n    def __str__(self):\n        raise self\nraise E()",
            "could not be imported: E: ",
        ),
        ("raise SystemExit('x' * 10**7)", "could not be imported: SystemExit: xxx"),
        (
            r'raise ModuleNotFoundError("no", name="\udcff")',
            r"needs the module \udcff, which is not installed",
        ),
    ],
)
def test_an_import_ends_with_its_exception_and_line(project: Project, code: str, expected: str) -> None:
    project.write(code)
    done = project.fairway("run", "project.py", expect=None)
    assert done.returncode in (1, 2)
    assert expected in done.stderr
    assert code.splitlines()[-1] in done.stderr
    assert len(done.stderr) < 100_000
