import datetime as dt
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fairway.formats import Encoded, arrow, decode, encode, plain

Trip = Callable[..., Any]

FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "numbers": lambda: pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan], "c": np.array([1, 2], dtype="int8")}),
    "text": lambda: pd.DataFrame({"a": ["x", None, "z"]}),
    "objects": lambda: pd.DataFrame(
        {"a": pd.Series(["x", None], dtype=object), "b": pd.Series([True, None], dtype=object)}
    ),
    "objects with nan": lambda: pd.DataFrame({"a": pd.Series(["x", np.nan, "y"], dtype=object)}),
    "decimals and dates": lambda: pd.DataFrame(
        {
            "a": pd.Series([Decimal("1.10"), None], dtype=object),
            "b": pd.Series([dt.date(2024, 1, 1), None], dtype=object),
        }
    ),
    "categories": lambda: pd.DataFrame(
        {"a": pd.Categorical(["u", "v", None], categories=["v", "u", "w"], ordered=True)}
    ),
    "integer categories": lambda: pd.DataFrame({"a": pd.Categorical([3, 1, 3])}),
    "nullable": lambda: pd.DataFrame(
        {"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}
    ),
    "times": lambda: pd.DataFrame(
        {
            "a": pd.date_range("2024", periods=2, tz="Europe/Berlin"),
            "b": pd.to_timedelta([1, None], unit="s"),
            "c": pd.period_range("2024", periods=2, freq="M"),
        }
    ),
    "intervals": lambda: pd.DataFrame({"a": pd.interval_range(0, 2)}),
    "time index": lambda: pd.DataFrame(
        {"a": [1, 2, 3]}, index=pd.date_range("2024", periods=3, freq="D", name="day")
    ),
    "period index": lambda: pd.DataFrame(
        {"a": [1, 2]}, index=pd.period_range("2024-01", periods=2, freq="M")
    ),
    "text index": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key")),
    "two-level index": lambda: pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")])
    ),
    "two-level columns": lambda: pd.DataFrame(
        np.eye(2), columns=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")])
    ),
    "numbered columns": lambda: pd.DataFrame(np.eye(2)),
    "integer columns": lambda: pd.DataFrame(np.eye(2), columns=[5, 7]),
    "range index": lambda: pd.DataFrame({"a": range(3)}, index=range(2, 8, 2)),
    "no rows": lambda: pd.DataFrame({"a": [], "b": pd.Series([], dtype="str")}),
    "no columns": lambda: pd.DataFrame(index=["a", "b"]),
    "no columns, numbered": lambda: pd.DataFrame(index=range(3)),
    "columns of one name": lambda: pd.DataFrame(np.eye(2), columns=["a", "a"]),
    "attributes": lambda: _with_attributes(),
    "wide": lambda: pd.DataFrame(
        np.arange(60_000.0).reshape(300, 200), columns=[f"c{n}" for n in range(200)]
    ),
}


def _with_attributes() -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["source"] = "x"
    return frame


@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back_exactly(name: str, trip: Trip) -> None:
    frame = FRAMES[name]()
    again = trip(frame, "arrow")
    pd.testing.assert_frame_equal(
        again, frame, check_freq=True, check_index_type="exact", check_column_type="exact"
    )
    assert type(again.columns) is type(frame.columns)
    assert again.attrs == frame.attrs
    for place in range(frame.shape[1]):
        if frame.iloc[:, place].dtype == object:
            assert list(map(type, again.iloc[:, place])) == list(map(type, frame.iloc[:, place]))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)}),
        pd.DataFrame({"a": pd.Series([1, 2], dtype=object)}),
        pd.DataFrame({"a": pd.Series(["x", None, np.nan], dtype=object)}),
        pd.DataFrame({"a": pd.Series([[1], {}], dtype=object)}),
        pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1])}),
        pd.DataFrame({"a": [1j]}),
        pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    ],
)
def test_what_arrow_would_change_is_pickled(frame: pd.DataFrame, trip: Trip) -> None:
    again = trip(frame, "pickle", trusted=True)
    pd.testing.assert_frame_equal(again, frame)
    assert again.flags == frame.flags


def test_a_frame_that_was_read_back_can_be_changed(keep: Callable[[Encoded], Any]) -> None:
    path = keep(encode(pd.DataFrame({"a": np.arange(50_000.0)})))
    stored = path.read_bytes()
    frame: Any = decode("arrow", path, "pandas.DataFrame")
    frame.loc[0, "a"] = 9.0
    frame["b"] = frame["a"] * 2
    frame.sort_values("a", inplace=True)
    assert frame["a"].max() == 49999.0
    assert path.read_bytes() == stored


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1.5, None], name="a"),
        pd.Series(["x", "y"], index=["p", "q"]),
        pd.Series([1], name=("a", 1)),
        pd.Series([1, 2], index=pd.date_range("2024", periods=2, freq="h")),
        pd.Series([1], name=7),
    ],
)
def test_series_come_back_exactly(series: pd.Series, trip: Trip) -> None:
    pd.testing.assert_series_equal(trip(series, "arrow"), series)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([1, 2]),
        pd.Index(["a", "b"], name="k"),
        pd.date_range("2024", periods=3, freq="D"),
        pd.MultiIndex.from_product([[1, 2], ["a"]], names=["n", None]),
        pd.CategoricalIndex(["a", "b"]),
        pd.period_range("2024", periods=3, freq="Y"),
    ],
)
def test_indexes_come_back_exactly(index: pd.Index, trip: Trip) -> None:
    pd.testing.assert_index_equal(trip(index, "arrow"), index, exact=True)


class Sub(pd.DataFrame):
    pass


def test_a_subclass_keeps_its_class(trip: Trip) -> None:
    assert encode(Sub({"a": [1]})).format == "pickle"


@pytest.mark.parametrize("rows", [2, 50_000])
def test_polars(rows: int, trip: Trip) -> None:
    frame = pl.DataFrame(
        {
            "a": range(rows),
            "b": ["x", None] * (rows // 2),
            "c": pl.Series(["p", "q"] * (rows // 2), dtype=pl.Categorical),
            "d": [[1], [2, 3]] * (rows // 2),
            "e": [dt.datetime(2024, 1, 1)] * rows,
        }
    )
    assert trip(frame, "arrow").equals(frame)
    assert trip(frame, "arrow").schema == frame.schema
    series = pl.Series("s", [1.5, None])
    again = trip(series, "arrow")
    assert again.equals(series)
    assert again.name == "s"


def test_arrow(trip: Trip) -> None:
    table = pa.table({"a": [1, 2], "b": pa.array(["x", "y"]).dictionary_encode()}, metadata={"k": "v"})
    again = trip(table, "arrow")
    assert again.equals(table, check_metadata=True)
    batch = pa.record_batch({"a": [1, 2]})
    assert trip(batch, "arrow").equals(batch)
    chunked = pa.concat_tables([table, pa.table({"a": [3], "b": pa.array(["z"]).dictionary_encode()})])
    assert trip(chunked, "arrow").to_pydict() == chunked.to_pydict()


def test_equal_frames_have_equal_bytes() -> None:
    assert encode(FRAMES["text"]()).data == encode(FRAMES["text"]()).data


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("time index", {"freq": "D"}),
        ("period index", {}),
        ("numbered columns", {"range": [0, 2, 1]}),
        ("objects", {"objects": [[0, "none"], [1, "none"]]}),
    ],
)
def test_tables_that_an_earlier_version_stored_are_still_read(
    name: str, extra: dict[str, Any], tmp_path: Path
) -> None:
    frame = FRAMES[name]()
    written = pa.Table.from_pandas(frame)
    told = plain.Writer().encode({"objects": [], "name": None, "range": None, "freq": None, **extra})
    written = written.replace_schema_metadata({**written.schema.metadata, b"fairway": told})
    stream = io.BytesIO()
    arrow.write_table(stream, written)
    (tmp_path / "table").write_bytes(stream.getvalue())
    code = (
        "import pathlib, pickle, sys; from fairway.formats import decode;"
        "again = decode('arrow', pathlib.Path(sys.argv[1]), 'pandas.DataFrame');"
        "sys.stdout.buffer.write(pickle.dumps(again))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "table")], capture_output=True, check=True, timeout=240
    )
    again = pickle.loads(done.stdout)
    pd.testing.assert_frame_equal(again, frame, check_freq=True, check_index_type="exact")
