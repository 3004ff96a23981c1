"""Arrays of pandas, one of every kind: what a column of a table can be made of."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

Values = dict[str, Callable[[], Any]]

BERLIN = "Europe/Berlin"
CUSTOM = pd.offsets.CustomBusinessDay(weekmask="Mon Wed Fri")


def _missing_in(values: Any, dtype: Any) -> Any:
    return pd.array([*values, None], dtype=dtype)


def period_groups() -> pd.Series:
    data = pd.DataFrame({"t": pd.date_range("2024", periods=40), "v": 1})
    return data.groupby(data.t.dt.to_period("M")).v.sum()


def frame_of(array: Any) -> pd.DataFrame:
    # Without a dtype, pandas would make text of objects that are all text.
    return pd.DataFrame({"a": pd.Series(array, dtype=array.dtype), "b": range(len(array))})


def attributes(value: Any, **attrs: Any) -> Any:
    value.attrs.update(attrs)
    return value


_NAMES = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_NUMPY = {name: np.array([0, 1, 2], dtype=name) for name in (*_NAMES, "float16", "float32", "float64")}
_TIMES = {
    f"{kind}[{unit}]": np.array([1, "NaT", 2], f"{kind}8[{unit}]")
    for kind in "Mm"
    for unit in ("s", "ms", "us", "ns")
}

_MASKED = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64")

ARRAYS: Values = {
    "periods of business days": lambda: _business_periods(),
    **{f"numpy {name}": lambda array=array: array for name, array in _NUMPY.items()},
    **{f"numpy {name}": lambda array=array: array for name, array in _TIMES.items()},
    **{f"masked {name}": lambda name=name: _missing_in([1, 2], name) for name in _MASKED},
    "masked boolean": lambda: _missing_in([True, False], "boolean"),
    "masked Float64 with nan": lambda: pd.arrays.FloatingArray(
        np.array([np.nan, 1.0]), np.array([False, True])
    ),
    "text, python": lambda: _missing_in(["x", "ü"], pd.StringDtype("python")),
    "text, pyarrow": lambda: _missing_in(["x", "ü"], pd.StringDtype("pyarrow")),
    "text, python, nan": lambda: _missing_in(["x", "ü"], pd.StringDtype("python", na_value=np.nan)),
    "text, pyarrow, nan": lambda: _missing_in(["x", "ü"], pd.StringDtype("pyarrow", na_value=np.nan)),
    "arrow int": lambda: pd.array([1, None], dtype=pd.ArrowDtype(pa.int64())),
    "arrow text": lambda: pd.array(["x", None], dtype=pd.ArrowDtype(pa.string())),
    "arrow large text": lambda: pd.array(["x", None], dtype=pd.ArrowDtype(pa.large_string())),
    "arrow time": lambda: pd.array([1, None], dtype=pd.ArrowDtype(pa.timestamp("us", BERLIN))),
    "arrow date": lambda: pd.array([dt.date(2024, 1, 1), None], dtype=pd.ArrowDtype(pa.date32())),
    "arrow decimal": lambda: pd.array([Decimal("1.10"), None], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
    "arrow list": lambda: pd.array([[1, 2], None], dtype=pd.ArrowDtype(pa.list_(pa.int32()))),
    "arrow struct": lambda: pd.array([{"a": 1}, None], dtype=pd.ArrowDtype(pa.struct([("a", pa.int8())]))),
    "arrow null": lambda: pd.array([None, None], dtype=pd.ArrowDtype(pa.null())),
    "arrow dictionary": lambda: pd.array(
        ["x", "y"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))
    ),
    "zone by name": lambda: pd.array(
        pd.to_datetime(["2024-10-27 00:30", None, "2024-10-27 01:30"]).tz_localize("UTC").tz_convert(BERLIN)
    ),
    "zone utc": lambda: pd.array(pd.to_datetime(["2024-01-01", None], utc=True)),
    "zone ZoneInfo utc": lambda: pd.array(pd.to_datetime(["2024-01-01"]).tz_localize(ZoneInfo("UTC"))),
    "zone fixed": lambda: pd.array(
        pd.to_datetime(["2024-01-01"]).tz_localize(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    ),
    "zone fixed and named": lambda: pd.array(
        pd.to_datetime(["2024-01-01"]).tz_localize(dt.timezone(dt.timedelta(hours=5), "X"))
    ),
    "zone in seconds": lambda: pd.array(pd.to_datetime(["2024-01-01"]).tz_localize(BERLIN).as_unit("s")),
    "periods": lambda: pd.array(pd.PeriodIndex(["2024-01", None, "2024-03"], freq="M")),
    "periods of 2 days": lambda: pd.array(pd.period_range("2024", periods=2, freq="2D")),
    "periods of weeks": lambda: pd.array(pd.period_range("2024", periods=2, freq="W-TUE")),
    "periods of quarters": lambda: pd.array(pd.period_range("2024", periods=2, freq="Q-JAN")),
    "intervals": lambda: pd.array(pd.interval_range(0, 3)),
    "intervals, left": lambda: pd.array(pd.interval_range(0.0, 3.0, closed="left")),
    "intervals, both": lambda: pd.array(pd.interval_range(0, 3, closed="both")),
    "intervals of times": lambda: pd.array(pd.interval_range(pd.Timestamp("2024"), periods=3)),
    "intervals with missing": lambda: (
        pd.cut([1.0, np.nan, 2.0], [0, 1, 2]).__array__() is None
        or pd.arrays.IntervalArray.from_tuples([(0, 1), np.nan])
    ),
    "categories": lambda: pd.Categorical(["u", None], categories=["v", "u", "w"]),
    "categories, ordered": lambda: pd.Categorical(["u", None], categories=["v", "u", "w"], ordered=True),
    "categories of objects": lambda: pd.Categorical(["u"], categories=pd.Index(["v", "u"], dtype=object)),
    "categories of integers": lambda: pd.Categorical([3, 1, 3]),
    "categories of floats": lambda: pd.Categorical([0.5, None]),
    "categories of booleans": lambda: pd.Categorical([True, False]),
    "categories of times": lambda: pd.Categorical(pd.date_range("2024", periods=2, freq="D")),
    "categories of zoned times": lambda: pd.Categorical(
        pd.date_range("2024", periods=2, freq="D", tz=BERLIN)
    ),
    "categories of durations": lambda: pd.Categorical(pd.to_timedelta([1, 2], unit="s")),
    "categories of intervals": lambda: pd.cut([1.0, 2.5, 9.0], [0, 2, 3, 4]),
    "categories of periods": lambda: pd.Categorical(pd.period_range("2024", periods=2, freq="M")),
    "categories of Int64": lambda: pd.Categorical(pd.array([1, None, 2], dtype="Int64")),
    "categories of text, python": lambda: pd.Categorical(_missing_in(["x"], pd.StringDtype("python"))),
    "categories of arrow text": lambda: pd.Categorical(
        pd.array(["x", None], dtype=pd.ArrowDtype(pa.string()))
    ),
    "categories of ranges": lambda: pd.Categorical.from_codes([1, 0, -1], pd.RangeIndex(4, 8, 2)),
    "no categories": lambda: pd.Categorical([None, None]),
    "categories with a named index": lambda: pd.Categorical.from_codes([0], pd.Index(["a"], name="n")),
    "many categories": lambda: pd.Categorical.from_codes([299, 0], [f"c{n}" for n in range(300)]),
    "objects: text": lambda: np.array(["x", None], dtype=object),
    "objects: text and nan": lambda: np.array(["x", np.nan], dtype=object),
    "objects: bytes": lambda: np.array([b"x", None, b""], dtype=object),
    "objects: booleans": lambda: np.array([True, None], dtype=object),
    "objects: dates": lambda: np.array([dt.date(2024, 1, 1), None], dtype=object),
    "objects: decimals": lambda: np.array([Decimal("1.10"), None], dtype=object),
    "objects: nothing": lambda: np.array([None, None], dtype=object),
}
"""Arrays that a column can be made of, held by Arrow."""

ARRAYS_PICKLED: Values = {
    "complex": lambda: np.array([1j, 2]),
    "sparse": lambda: pd.arrays.SparseArray([0, 0, 1]),
    "sparse with nan": lambda: pd.arrays.SparseArray([np.nan, 1.0]),
    "categories of mixed objects": lambda: pd.Categorical(
        [1, "a"], categories=pd.Index(["a", 1], dtype=object)
    ),
    "arrow extension": lambda: pd.array([1, 2], dtype=pd.ArrowDtype(_period_type())),
    "objects: integers": lambda: np.array([1, 2**70], dtype=object),
    "objects: mixed": lambda: np.array([1, "x", 2.5, b"b", [1], (2,), {"a": 1}], dtype=object),
    "objects: kinds of missing": lambda: np.array(["x", None, np.nan, pd.NaT, pd.NA], dtype=object),
    "objects: NaT": lambda: np.array(["x", pd.NaT], dtype=object),
    "objects: NA": lambda: np.array(["x", pd.NA], dtype=object),
    "objects: decimals of different places": lambda: np.array(
        [Decimal("1.10"), Decimal("1.1")], dtype=object
    ),
    "objects: large decimals": lambda: np.array(
        [Decimal("1E+5"), Decimal("NaN"), Decimal("-0")], dtype=object
    ),
    "objects: lone surrogates": lambda: np.array(["x", "\udcff"], dtype=object),
    "objects: datetimes": lambda: np.array([dt.datetime(2024, 1, 1, fold=1), None], dtype=object),
    "objects: times": lambda: np.array([dt.time(1, 2), None], dtype=object),
    "objects: periods": lambda: np.array(
        [pd.Period("2024-01", "M"), pd.Period("2024-01-01", "D")], dtype=object
    ),
    "objects: timestamps": lambda: np.array(
        [pd.Timestamp("2024", tz=BERLIN), pd.Timestamp("2024")], dtype=object
    ),
    "objects: numpy text": lambda: np.array([np.str_("x"), "y"], dtype=object),
    "objects: arrays": lambda: _cells(np.arange(2), np.arange(3.0)),
    "objects: tuples": lambda: _cells((1, 2), (3,)),
    "objects: dictionaries": lambda: _cells({"a": 1}, {"b": [dt.date(2024, 1, 1)]}),
}
"""Arrays that a column can be made of, and that only a pickle holds."""


def _cells(*cells: Any) -> Any:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _period_type() -> Any:
    return pa.array(pd.period_range("2024", periods=1, freq="D")).type


def _business_periods() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.array(pd.period_range("2024", periods=3, freq="B"))
