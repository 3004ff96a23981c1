"""Compares two values in everything that a user could notice, and names what differs.

Knows no format: it is told what was stored and what came back.
"""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sparse


def differences(one: Any, other: Any, at: str = "value") -> list[str]:
    """What differs between what was stored and what came back; empty when nothing does."""
    if type(other).__name__ == "Unreadable":
        return [f"{at}: {other}"]
    if type(one) is not type(other):
        return [f"{at}: a {type(one).__name__} became a {type(other).__name__}"]
    for cls, compare in _COMPARE:
        if isinstance(one, cls):
            return compare(one, other, at)
    return [] if one == other or repr(one) == repr(other) else [f"{at}: {one!r} became {other!r}"]


def _frame(one: pd.DataFrame, other: pd.DataFrame, at: str) -> list[str]:
    found = differences(one.columns, other.columns, f"{at}.columns")
    found += differences(one.index, other.index, f"{at}.index")
    found += differences(one.attrs, other.attrs, f"{at}.attrs")
    if one.flags != other.flags or one.shape != other.shape:
        return [*found, f"{at}: flags or shape"]
    for place in range(one.shape[1]):
        found += _column(one.iloc[:, place], other.iloc[:, place], f"{at}[{one.columns[place]!r}]")
    return found


def _series(one: pd.Series, other: pd.Series, at: str) -> list[str]:
    found = differences(one.name, other.name, f"{at}.name")
    found += differences(one.index, other.index, f"{at}.index")
    found += differences(one.attrs, other.attrs, f"{at}.attrs")
    return [*found, *(["flags"] if one.flags != other.flags else []), *_column(one, other, at)]


def _column(one: Any, other: Any, at: str) -> list[str]:
    if isinstance(one.dtype, np.dtype) and one.dtype.kind not in "mM":
        return differences(one.to_numpy(), other.to_numpy(), at)
    return differences(one.array, other.array, at)


def _index(one: pd.Index, other: pd.Index, at: str) -> list[str]:
    found = differences(list(one.names), list(other.names), f"{at}.names")
    if isinstance(one, pd.MultiIndex):
        assert isinstance(other, pd.MultiIndex)
        found += differences(list(one.levels), list(other.levels), f"{at}.levels")
        codes = [[list(part) for part in index.codes] for index in (one, other)]
        return found + differences(*codes, f"{at}.codes")
    found += differences(getattr(one, "freq", None), getattr(other, "freq", None), f"{at}.freq")
    if isinstance(one, pd.RangeIndex):
        return found + ([] if one.equals(other) and repr(one) == repr(other) else [f"{at}: {other!r}"])
    return found + _column(one, other, at)


def _array(one: Any, other: Any, at: str) -> list[str]:
    """Arrays of pandas."""
    found = differences(one.dtype, other.dtype, f"{at}.dtype")
    if isinstance(one, pd.Categorical):
        return found + differences(list(one.codes), list(other.codes), f"{at}.codes")
    if isinstance(one, pd.arrays.SparseArray):
        return found + differences(np.asarray(one), np.asarray(other), at)
    return found + differences(list(one), list(other), at)


def _dtype(one: Any, other: Any, at: str) -> list[str]:
    if isinstance(one, pd.CategoricalDtype):
        found = differences(one.categories, other.categories, f"{at}.categories")
        return found + differences(one.ordered, other.ordered, f"{at}.ordered")
    found = [] if one == other and repr(one) == repr(other) else [f"{at}: {one!r} became {other!r}"]
    if isinstance(one, pd.DatetimeTZDtype):
        found += differences(one.tz, other.tz, f"{at}.tz")
    if isinstance(one, pd.StringDtype):
        found += differences((one.storage, one.na_value), (other.storage, other.na_value), at)
    return found


def _offset(one: Any, other: Any, at: str) -> list[str]:
    same = one == other and one.normalize == other.normalize and one.kwds.keys() == other.kwds.keys()
    return [] if same else [f"{at}: {one!r} became {other!r}"]


def _timestamp(one: Any, other: Any, at: str) -> list[str]:
    parts = [(str(x), x.unit, getattr(x, "tzinfo", None), getattr(x, "fold", 0)) for x in (one, other)]
    return differences(*parts, at)


def _moment(one: Any, other: Any, at: str) -> list[str]:
    same = one.replace(tzinfo=None) == other.replace(tzinfo=None) and one.fold == other.fold
    return differences(one.tzinfo, other.tzinfo, f"{at}.tzinfo") + ([] if same else [f"{at}: {other!r}"])


def _zone(one: Any, other: Any, at: str) -> list[str]:
    return [] if repr(one) == repr(other) and str(one) == str(other) else [f"{at}: {one!r}, {other!r}"]


def _numpy(one: Any, other: Any, at: str) -> list[str]:
    """Arrays of numpy, with their order, byte order and layout of fields."""
    found = _layout(one.dtype, other.dtype, f"{at}.dtype")
    if one.shape != other.shape:
        return [*found, f"{at}: shape {one.shape} became {other.shape}"]
    if one.ndim > 1 and one.size and one.flags.f_contiguous != other.flags.f_contiguous:
        found.append(f"{at}: the order of the dimensions")
    if isinstance(one, np.ma.MaskedArray):
        found += differences(np.ma.getmaskarray(one), np.ma.getmaskarray(other), f"{at}.mask")
        found += differences(one.fill_value, other.fill_value, f"{at}.fill_value")
        found += differences(one.hardmask, other.hardmask, f"{at}.hardmask")
        one, other = one.data, other.data
    if one.dtype.hasobject or one.dtype.kind == "T":
        return found + differences(one.ravel().tolist(), other.ravel().tolist(), at)
    if one.dtype.names:
        return found + [
            f"{at}: field {name}" for name in one.dtype.names if not _bytes(one[name], other[name])
        ]
    return found if _bytes(one, other) else [*found, f"{at}: {one!r} became {other!r}"]


def _bytes(one: Any, other: Any) -> bool:
    if one.dtype.kind in "gG" or one.dtype.char in "gG":
        return np.array_equal(one, other, equal_nan=True)
    return one.tobytes() == other.tobytes()


def _layout(one: Any, other: Any, at: str) -> list[str]:
    parts = [
        (x.str, x.names, x.fields, x.isalignedstruct, x.itemsize, x.metadata, repr(x)) for x in (one, other)
    ]
    return [] if parts[0] == parts[1] else [f"{at}: {one!r} became {other!r}"]


def _scalar(one: Any, other: Any, at: str) -> list[str]:
    found = _layout(one.dtype, other.dtype, f"{at}.dtype")
    if one.dtype.hasobject:
        return found + differences(one.item(), other.item(), at)
    return found if _bytes(one, other) else [*found, f"{at}: {one!r} became {other!r}"]


def _sparse(one: Any, other: Any, at: str) -> list[str]:
    if (one.shape, one.dtype, one.format) != (other.shape, other.dtype, other.format):
        return [f"{at}: {one!r} became {other!r}"]
    if one.format == "dok":
        return [] if dict(one.items()) == dict(other.items()) else [f"{at}: {other!r}"]
    names = ("data", "indices", "indptr", "offsets", "rows", "coords", "row", "col")
    parts = [{name: getattr(x, name) for name in names if hasattr(x, name)} for x in (one, other)]
    flags = [
        (getattr(x, "has_sorted_indices", 0), getattr(x, "has_canonical_format", 0)) for x in (one, other)
    ]
    return differences(*parts, at) + differences(*[[bool(f) for f in pair] for pair in flags], f"{at}.flags")


def _polars(one: Any, other: Any, at: str) -> list[str]:
    if isinstance(one, pl.DataFrame):
        found = [] if one.shape == other.shape else [f"{at}: shape {one.shape} became {other.shape}"]
        if list(one.schema.items()) != list(other.schema.items()):
            found.append(f"{at}: {one.schema} became {other.schema}")
        pairs = zip(one.get_columns(), other.get_columns(), strict=False)
        return found + [each for a, b in pairs for each in _polars(a, b, f"{at}[{a.name!r}]")]
    if repr(one.dtype) != repr(other.dtype) or one.dtype != other.dtype or one.name != other.name:
        return [f"{at}: {one.name!r} {one.dtype!r} became {other.name!r} {other.dtype!r}"]
    return differences(one.to_list(), other.to_list(), at)


def _arrow(one: Any, other: Any, at: str) -> list[str]:
    if not one.schema.equals(other.schema, check_metadata=True):
        return [f"{at}: {one.schema} became {other.schema}"]
    if one.num_rows != other.num_rows:
        return [f"{at}: {one.num_rows} rows became {other.num_rows}"]
    pairs = zip(one.columns, other.columns, strict=True)
    return [each for a, b in pairs for each in differences(*_arrow_columns(a, b), at)]


def _arrow_columns(*columns: Any) -> list[Any]:
    whole = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    whole = [
        pa.concat_arrays(c.chunks) if isinstance(c, pa.ChunkedArray) and c.num_chunks else c for c in whole
    ]
    return [[x.dictionary.to_pylist() if hasattr(x, "dictionary") else [], x.to_pylist()] for x in whole]


def _float(one: float, other: float, at: str) -> list[str]:
    same = (one != one and other != other) or (
        one == other and math.copysign(1, one) == math.copysign(1, other)
    )
    return [] if same else [f"{at}: {one!r} became {other!r}"]


def _items(one: Any, other: Any, at: str) -> list[str]:
    if len(one) != len(other):
        return [f"{at}: {len(one)} items became {len(other)}"]
    pairs = enumerate(zip(one, other, strict=True))
    return [found for place, (a, b) in pairs for found in differences(a, b, f"{at}[{place}]")]


def _dict(one: Any, other: Any, at: str) -> list[str]:
    found = _items(list(one), list(other), f"{at}.keys")
    return found or _items(list(one.values()), list(other.values()), at)


def _decimal(one: Decimal, other: Decimal, at: str) -> list[str]:
    return [] if one.as_tuple() == other.as_tuple() else [f"{at}: {one!r} became {other!r}"]


_COMPARE: list[tuple[Any, Any]] = [
    (pd.DataFrame, _frame),
    (pd.Series, _series),
    (pd.Index, _index),
    (pd.api.extensions.ExtensionDtype, _dtype),
    (pd.api.extensions.ExtensionArray, _array),
    (pd.offsets.BaseOffset, _offset),
    ((type(pd.NaT), type(pd.NA)), lambda one, other, at: []),
    ((pd.Timestamp, pd.Timedelta), _timestamp),
    ((dt.datetime, dt.time), _moment),
    (dt.tzinfo, _zone),
    (np.ndarray, _numpy),
    (np.generic, _scalar),
    ((pl.DataFrame, pl.Series), _polars),
    (pl.LazyFrame, lambda one, other, at: _polars(one.collect(), other.collect(), at)),
    ((pa.Table, pa.RecordBatch), _arrow),
    ((sparse.sparray, sparse.spmatrix), _sparse),
    (float, _float),
    (Decimal, _decimal),
    ((list, tuple), _items),
    (dict, _dict),
]
