"""Tables, series, indexes, arrays and scalars of pandas, one of every kind, by the format that holds them."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas_arrays import ARRAYS, ARRAYS_PICKLED, BERLIN, CUSTOM, Values, attributes, frame_of, period_groups

_INDEXES: Values = {
    "last quarters": lambda: pd.date_range(
        "2024",
        periods=3,
        freq=pd.offsets.FY5253Quarter(startingMonth=1, weekday=2, qtr_with_extra_week=1, variation="last"),
    ),
    "first weekdays": lambda: pd.date_range("2024", periods=3, freq=pd.offsets.LastWeekOfMonth(weekday=2)),
    "range": lambda: pd.RangeIndex(2, 8, 2, name="n"),
    "range, down": lambda: pd.RangeIndex(3, -3, -2),
    "range, empty": lambda: pd.RangeIndex(0),
    "integers as a range": lambda: pd.Index([0, 1, 2]),
    "integers": lambda: pd.Index([5, 5, 7], name=("a", 1)),
    "small integers": lambda: pd.Index(np.array([5, 7], dtype="int8")),
    "floats": lambda: pd.Index([0.5, np.nan, -0.0]),
    "booleans": lambda: pd.Index([True, False]),
    "text": lambda: pd.Index(["a", "b", None], name="k"),
    "text, pyarrow": lambda: pd.Index(["a", "b"], dtype=pd.StringDtype("pyarrow"), name=0),
    "text, python": lambda: pd.Index(["a", None], dtype=pd.StringDtype("python")),
    "text as objects": lambda: pd.Index(["a", "b"], dtype=object),
    "text as objects with None": lambda: pd.Index(["a", None], dtype=object),
    "text as objects with nan": lambda: pd.Index(["a", np.nan], dtype=object),
    "dates as objects": lambda: pd.Index([dt.date(2024, 1, 1)], dtype=object),
    "no objects": lambda: pd.Index([], dtype=object),
    "Int64": lambda: pd.Index(pd.array([1, None], dtype="Int64")),
    "boolean": lambda: pd.Index(pd.array([True, None], dtype="boolean")),
    "arrow": lambda: pd.Index(pd.array([1, None], dtype=pd.ArrowDtype(pa.int8()))),
    "days": lambda: pd.date_range("2024", periods=3, freq="D", name="day"),
    "days without frequency": lambda: pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03"]),
    "days, none": lambda: pd.date_range("2024", periods=0, freq="D"),
    "hours in a zone": lambda: pd.date_range("2024-10-26 22:00", periods=8, freq="h", tz=BERLIN),
    "days in a zone": lambda: pd.date_range("2024-10-26", periods=3, freq="D", tz=BERLIN),
    "month ends": lambda: pd.date_range("2024", periods=3, freq="ME"),
    "quarter starts": lambda: pd.date_range("2024", periods=3, freq="QS-FEB"),
    "weeks": lambda: pd.date_range("2024", periods=3, freq="2W-WED"),
    "business days": lambda: pd.bdate_range("2024", periods=5),
    "hours backwards": lambda: pd.date_range("2024", periods=3, freq="-1h"),
    "seconds": lambda: pd.date_range("2024", periods=3, freq="90s", unit="s"),
    "days with missing": lambda: pd.DatetimeIndex(["2024-01-01", None]),
    "durations": lambda: pd.timedelta_range("1h", periods=3, freq="90min"),
    "durations without frequency": lambda: pd.TimedeltaIndex(["1h", None]),
    "periods": lambda: pd.period_range("2024", periods=3, freq="M", name="month"),
    "periods, none": lambda: pd.PeriodIndex([], freq="Q-JAN"),
    "intervals": lambda: pd.interval_range(0, 3, name="bin"),
    "intervals of days": lambda: pd.interval_range(pd.Timestamp("2024"), periods=2, closed="left"),
    "intervals, overlapping": lambda: pd.IntervalIndex.from_tuples([(0, 2), (1, 3), np.nan]),
    "categories": lambda: pd.CategoricalIndex(
        ["a", "b", None], categories=["b", "a", "z"], ordered=True, name="c"
    ),
    "categories of intervals": lambda: pd.CategoricalIndex(pd.cut([1, 2], [0, 1, 2])),
    "two levels": lambda: pd.MultiIndex.from_tuples([(1, "x"), (2, "y"), (1, "x")], names=["n", None]),
    "levels of days": lambda: pd.MultiIndex.from_product([pd.date_range("2024", periods=2, freq="D"), ["a"]]),
    "levels of business days in a zone": lambda: pd.MultiIndex.from_product(
        [pd.bdate_range("2024", periods=3, tz=BERLIN), pd.timedelta_range("1h", periods=2, freq="h")]
    ),
    "levels of periods and intervals": lambda: pd.MultiIndex.from_arrays(
        [pd.period_range("2024", periods=2, freq="M"), pd.interval_range(0, 2)], names=[("a", 1), 7]
    ),
    "levels of categories": lambda: pd.MultiIndex.from_arrays(
        [
            pd.CategoricalIndex(["a", "b"], categories=["b", "a", "z"], ordered=True),
            pd.array([1, None], dtype="Int64"),
        ]
    ),
    "levels that are not used": lambda: pd.MultiIndex.from_product([["a", "b"], [1, 2, 3]])[:2],
    "levels with missing": lambda: pd.MultiIndex.from_tuples([("a", None), (None, 1.5)]),
    "levels of one name": lambda: pd.MultiIndex.from_product([["a"], ["b"]], names=["k", "k"]),
    "levels, no rows": lambda: pd.MultiIndex.from_product([["a", "b"], [1, 2]])[:0],
    "levels, one": lambda: pd.MultiIndex.from_arrays([["a", "b"]]),
    "levels of objects": lambda: pd.MultiIndex.from_arrays([pd.Index(["a", "b"], dtype=object), [1, 2]]),
    "levels, three": lambda: pd.MultiIndex.from_product(
        [[True, False], [0.5], pd.to_timedelta([1], unit="s")]
    ),
}

_INDEXES_PICKLED: Values = {
    "two weeks by DateOffset": lambda: pd.date_range("2024", periods=3, freq=pd.DateOffset(weeks=2)),
    "custom business days": lambda: pd.bdate_range("2024", periods=3, freq="C", weekmask="Mon Wed Fri"),
    "custom business days with holidays": lambda: pd.date_range(
        "2024", periods=3, freq=pd.offsets.CustomBusinessDay(holidays=["2024-01-02"])
    ),
    "custom month ends": lambda: pd.date_range(
        "2024", periods=2, freq=pd.offsets.CustomBusinessMonthEnd(weekmask="Mon")
    ),
    "business hours": lambda: pd.date_range(
        "2024-01-01 10:00", periods=3, freq=pd.offsets.BusinessHour(start="10:00")
    ),
    "normalized days": lambda: pd.date_range("2024", periods=3, freq=pd.offsets.MonthEnd(normalize=True)),
    "level of custom business days": lambda: pd.MultiIndex.from_product(
        [pd.date_range("2024", periods=2, freq=CUSTOM), [1]]
    ),
    "complex": lambda: pd.Index([1j]),
    "mixed objects": lambda: pd.Index([1, "a"], dtype=object),
    "tuples": lambda: pd.Index([(1, 2), (3,)], tupleize_cols=False),
    "named by a timestamp": lambda: pd.Index([1], name=pd.Timestamp("2024")),
    "sparse": lambda: pd.Index(pd.arrays.SparseArray([0, 1])),
    "levels of mixed objects": lambda: pd.MultiIndex.from_arrays([[1, "a"], [1, 2]]),
}

_FRAMES: Values = {
    "numbered columns": lambda: pd.DataFrame(np.eye(2)),
    "integer columns": lambda: pd.DataFrame(np.eye(2), columns=[5, 7]),
    "columns of one name": lambda: pd.DataFrame(np.eye(2), columns=["a", "a"]),
    "columns 1 and '1'": lambda: pd.DataFrame(np.eye(2), columns=pd.Index([1, 2]).astype("int8")),
    "columns of days": lambda: pd.DataFrame(np.eye(2), columns=pd.date_range("2024", periods=2, freq="D")),
    "columns of periods": lambda: pd.DataFrame(
        np.eye(2), columns=pd.period_range("2024", periods=2, freq="M")
    ),
    "columns of intervals": lambda: pd.DataFrame(np.eye(2), columns=pd.interval_range(0, 2)),
    "columns of categories": lambda: pd.DataFrame(
        np.eye(2), columns=pd.CategoricalIndex(["a", "b"], ordered=True)
    ),
    "columns of booleans": lambda: pd.DataFrame(np.eye(2), columns=[True, False]),
    "columns of floats": lambda: pd.DataFrame(np.eye(2), columns=[0.5, np.nan]),
    "columns of text objects": lambda: pd.DataFrame(np.eye(2), columns=pd.Index(["a", "b"], dtype=object)),
    "columns of tuples": lambda: pd.DataFrame(
        np.eye(2), columns=pd.MultiIndex.from_product([["a"], [1, 2]], names=["x", "y"])
    ),
    "columns of text, python": lambda: pd.DataFrame(
        np.eye(1), columns=pd.Index(["a"], dtype=pd.StringDtype("python"))
    ),
    "named columns": lambda: pd.DataFrame({"a": [1]}).rename_axis(columns="name"),
    "a column named like an index": lambda: pd.DataFrame({"__index_level_0__": [1]}, index=["r"]),
    "an index named like a column": lambda: pd.DataFrame({"a": [1]}, index=pd.Index([5], name="a")),
    "columns named with surrogates": lambda: pd.DataFrame({"": [1], " ": [2], "\0": [3]}),
    "index and columns of levels": lambda: pd.DataFrame(
        np.eye(2), index=_INDEXES["levels of days"](), columns=_INDEXES["levels of categories"]()
    ),
    "pivot": lambda: pd.DataFrame(
        {"d": pd.date_range("2024", periods=4, freq="D"), "k": list("abab"), "v": range(4)}
    ).pivot_table(index="d", columns="k", values="v"),
    "crosstab": lambda: pd.crosstab(
        pd.Series(list("aab"), name="r"), pd.cut(pd.Series([1, 2, 3]), [0, 2, 3])
    ),
    "described": lambda: pd.DataFrame({"a": [1.0, 2.0]}).describe(),
    "resampled": lambda: (
        pd.DataFrame({"v": range(9)}, index=pd.date_range("2024", periods=9, freq="h"))
        .resample("3h")
        .agg(["sum", "mean"])
    ),
    "grouped by categories": lambda: (
        pd.DataFrame({"c": pd.Categorical(["a"], ["a", "b"]), "v": [1]}).groupby("c", observed=False).sum()
    ),
    "no rows": lambda: pd.DataFrame(
        {"a": [1], "b": ["x"], "c": pd.Categorical(["u"]), "d": pd.period_range("2024", periods=1)}
    ).iloc[:0],
    "no rows, objects": lambda: pd.DataFrame({"a": pd.Series([], dtype=object)}),
    "no rows, zoned": lambda: pd.DataFrame(
        {"t": pd.to_datetime([]).tz_localize(BERLIN), "s": pd.Series([], dtype="str")}
    ),
    "no columns": lambda: pd.DataFrame(index=["a", "b"]),
    "no columns, range": lambda: pd.DataFrame(index=range(3)),
    "no columns, levels": lambda: pd.DataFrame(index=_INDEXES["two levels"]()),
    "nothing": lambda: pd.DataFrame(),
    "nothing, named": lambda: pd.DataFrame(columns=pd.Index([], dtype="str", name="c")),
    "attributes": lambda: attributes(
        pd.DataFrame({"a": [1]}), source="x", parts=(1, [2, dt.date(2024, 1, 1)])
    ),
    "attributes with numbers as keys": lambda: attributes(pd.DataFrame({"a": [1]}), x={1: 2}),
    "large": lambda: pd.DataFrame(
        {
            "a": np.arange(20_000.0),
            "c": pd.Categorical(["u", "v"] * 10_000),
            "p": pd.period_range("1900", periods=20_000, freq="D"),
        }
    ),
    "wide": lambda: pd.DataFrame({f"c{n}": pd.array([n, None], dtype="Int64") for n in range(150)}),
    "infinite and signed": lambda: pd.DataFrame({"a": [np.inf, -np.inf, -0.0, np.nan, 5e-324]}),
    "nan with a sign": lambda: pd.DataFrame(
        {"a": np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype="u8").view("f8")}
    ),
    "the ends of time": lambda: pd.DataFrame(
        {
            "t": pd.Series([pd.Timestamp.min, pd.Timestamp.max]),
            "s": np.array(["0001-01-01", "9999-12-31"], "M8[s]"),
        }
    ),
}

_FRAMES_PICKLED: Values = {
    "labels must be unique": lambda: pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    "attributes with a table": lambda: attributes(pd.DataFrame({"a": [1]}), t=pd.Timestamp("2024")),
    "columns of mixed labels": lambda: pd.DataFrame(np.eye(2), columns=["a", 1]),
    "columns of surrogates": lambda: pd.DataFrame([[1]], columns=pd.Index(["\udcff"], dtype=object)),
    "columns of custom business days": lambda: pd.DataFrame(
        np.eye(2), columns=pd.date_range("2024", periods=2, freq=CUSTOM)
    ),
    "big-endian": lambda: pd.DataFrame({"a": pd.Series(np.array([1, 2], dtype=">i4"))}),
}

_SERIES: Values = {
    "named": lambda: pd.Series([1.5, None], name="a"),
    "named by a tuple": lambda: pd.Series([1], name=("a", 1)),
    "named by a number": lambda: pd.Series([1], name=7),
    "named by a date": lambda: pd.Series([1], name=dt.date(2024, 1, 1)),
    "named by nan": lambda: pd.Series([1], name=float("nan")),
    "named by a numpy number": lambda: pd.Series([1], name=np.int64(3)),
    "counts in bins": lambda: pd.Series([1, 2, 3]).value_counts(bins=2),
    "sums by month": period_groups,
    "attributes": lambda: attributes(pd.Series([1]), a=1),
    "empty": lambda: pd.Series([], dtype="float64"),
    "text": lambda: pd.Series(["x", "y"], index=["p", "q"]),
}

_SERIES_PICKLED: Values = {
    "named by a timestamp": lambda: pd.Series([1], name=pd.Timestamp("2024")),
    "named by NA": lambda: pd.Series([1], name=pd.NA),
    "labels must be unique": lambda: pd.Series([1]).set_flags(allows_duplicate_labels=False),
}

_ALONE: Values = {
    "Timestamp": lambda: pd.Timestamp("2024-10-27 03:30", tz=BERLIN),
    "Timestamp, second time": lambda: pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert(BERLIN),
    "Timestamp in seconds": lambda: pd.Timestamp("2024").as_unit("s"),
    "Timestamp with nanoseconds": lambda: pd.Timestamp(1),
    "Timedelta": lambda: pd.Timedelta(1, unit="ns"),
    "Period": lambda: pd.Period("2024-01", "Q-JAN"),
    "Interval": lambda: pd.Interval(0, 1, closed="both"),
    "NaT": lambda: pd.NaT,
    "NA": lambda: pd.NA,
    "CustomBusinessDay": lambda: CUSTOM,
    "DateOffset": lambda: pd.DateOffset(months=1, hour=3),
    "MonthEnd": lambda: pd.offsets.MonthEnd(2),
    "dtype": lambda: pd.CategoricalDtype(["a", "b"], ordered=True),
    "array": lambda: pd.array([1, None], dtype="Int64"),
    "categorical": lambda: pd.Categorical(["a"]),
    "dict of a Timestamp": lambda: {"at": pd.Timestamp("2024"), "frame": pd.DataFrame({"a": [1]})},
}


def _columns(arrays: Values) -> Values:
    return {f"column of {name}": lambda make=make: frame_of(make()) for name, make in arrays.items()}


def _no_rows(arrays: Values) -> Values:
    return {
        f"no rows of {name}": lambda make=make: frame_of(make()).iloc[:0] for name, make in arrays.items()
    }


def _indexed(indexes: Values) -> Values:
    made: Values = {}
    for name, make in indexes.items():
        made[f"index of {name}"] = make
        made[f"series by {name}"] = lambda make=make: (
            lambda index: pd.Series(range(len(index)), index=index, name="s")
        )(make())
        made[f"frame across {name}"] = lambda make=make: (
            lambda index: pd.DataFrame([range(len(index))], columns=index)
        )(make())
    return made


ARROW: Values = {
    **_columns(ARRAYS),
    **_no_rows(ARRAYS),
    **_indexed(_INDEXES),
    **{f"frame: {name}": make for name, make in _FRAMES.items()},
    **{f"series: {name}": make for name, make in _SERIES.items()},
}
PICKLE: Values = {
    **_columns(ARRAYS_PICKLED),
    **_indexed(_INDEXES_PICKLED),
    **{f"frame: {name}": make for name, make in _FRAMES_PICKLED.items()},
    **{f"series: {name}": make for name, make in _SERIES_PICKLED.items()},
    **{f"alone: {name}": make for name, make in _ALONE.items()},
}
BUNDLE: Values = {
    "dict of all frames": lambda: {name: make() for name, make in _FRAMES.items()},
    "list of series": lambda: [make() for make in _SERIES.values()],
    "tuple of indexes": lambda: tuple(make() for make in _INDEXES.values()),
    "dict of series of arrays": lambda: {
        name: pd.Series(make(), dtype=make().dtype) for name, make in ARRAYS.items()
    },
}
