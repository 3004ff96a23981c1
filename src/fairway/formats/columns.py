"""Arrays and indexes of pandas as Arrow arrays, and what must be known to make the same ones again.

Every kind is written and read explicitly. Nothing depends on types that a process has registered with Arrow,
nor on anything that pandas has cached, so that a process which never saw the value reads it as the writer
would. A kind that is not named here is refused. Knows no file and no table.
"""

import datetime as dt
from decimal import Decimal
from typing import Any

from fairway.formats import arrow
from fairway.formats.frameworks import load

Form = dict[str, Any] | None
"""How to make an array again, in plain values; None for a numpy array, which Arrow's own type describes."""

_NUMBERS = "biuf"
_TIMES = "Mm"
_EPOCH = dt.datetime(2000, 1, 1)
_CELLS = (str, bytes, bool, dt.date, Decimal)
_NOTHING = type(None)
_MASKED = frozenset(
    [
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "Float32",
        "Float64",
        "boolean",
    ]
)


class Refused(Exception):
    """Arrow cannot hold the array so that it comes back exactly."""


def write_array(array: Any, keep: Any) -> tuple[Any, Form]:
    """An array of numpy or pandas as an Arrow array without extension types.

    Args:
        keep: stores an index apart, such as the categories, and returns its place.

    Raises:
        Refused: it is of a kind, or holds something, that would not come back exactly.
    """
    pa = load("pyarrow")
    np = load("numpy")

    dtype = array.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind in _NUMBERS or dtype.kind in _TIMES:
            return pa.array(array), None
        if dtype.kind == "O":
            cells = array.tolist()
            form = {"kind": "objects", "missing": _missing(cells)}
            return pa.array(cells, from_pandas=True), form
        raise Refused(str(dtype))
    write = _WRITERS.get(type(dtype).__name__)
    if type(dtype).__module__.partition(".")[0] != "pandas":
        raise Refused(str(dtype))
    if write is not None:
        return write(array, keep)
    if dtype.name in _MASKED:
        return pa.array(array), {"kind": "masked", "name": dtype.name}
    raise Refused(str(dtype))


def _write_zoned(array: Any, keep: Any) -> tuple[Any, Form]:
    pa = load("pyarrow")
    zone = array.dtype.tz
    form = {"kind": "zoned", "at": _EPOCH.replace(tzinfo=zone)}
    return pa.array(array.tz_convert("UTC").tz_localize(None).to_numpy()), form


def _write_text(array: Any, keep: Any) -> tuple[Any, Form]:
    pa = load("pyarrow")
    return pa.array(array), {"kind": "text", **text_form(array.dtype)}


def _write_arrow(array: Any, keep: Any) -> tuple[Any, Form]:
    written = array.__arrow_array__()
    if not arrow.is_known(written.type):
        raise Refused(str(written.type))
    return written, {"kind": "arrow"}


def _write_period(array: Any, keep: Any) -> tuple[Any, Form]:
    pa = load("pyarrow")
    pd = load("pandas")
    name = array.dtype.name
    if pd.api.types.pandas_dtype(name) != array.dtype:
        raise Refused(name)
    return pa.array(array.asi8), {"kind": "period", "name": name}


def _write_interval(array: Any, keep: Any) -> tuple[Any, Form]:
    pa = load("pyarrow")
    sides = [write_array(raw(side), keep) for side in (array.left, array.right)]
    struct = pa.StructArray.from_arrays([side for side, _ in sides], names=["left", "right"])
    return struct, {"kind": "interval", "closed": array.closed, "sides": sides[0][1]}


def _write_category(array: Any, keep: Any) -> tuple[Any, Form]:
    pa = load("pyarrow")
    form = {"kind": "category", "ordered": bool(array.ordered), "categories": keep(array.categories)}
    return pa.array(array.codes), form


def text_form(dtype: Any) -> dict[str, Any]:
    """Which of pandas' types of text it is."""
    pd = load("pandas")
    return {"storage": dtype.storage, "nan": dtype.na_value is not pd.NA}


def text_dtype(form: dict[str, Any]) -> Any:
    """The type of text that `text_form` described."""
    pd = load("pandas")
    np = load("numpy")
    return pd.StringDtype(form["storage"], na_value=np.nan if form["nan"] else pd.NA)


def is_text(arrow_type: Any) -> bool:
    """Whether an Arrow type is one that text is written as."""
    pa = load("pyarrow")
    return arrow_type in (pa.large_string(), pa.string())


_WRITERS: dict[str, Any] = {
    "DatetimeTZDtype": _write_zoned,
    "StringDtype": _write_text,
    "ArrowDtype": _write_arrow,
    "PeriodDtype": _write_period,
    "IntervalDtype": _write_interval,
    "CategoricalDtype": _write_category,
}


def _missing(cells: list[object]) -> str:
    """How a column of Python objects writes what is missing: "none" or "nan". Raises Refused for other objects."""
    kinds = {type(cell) for cell in cells}
    missing = "none"
    if (
        float in kinds
        and kinds == {str, float}
        and all(cell != cell for cell in cells if type(cell) is float)
    ):
        missing = "nan"
        kinds.discard(float)
    kinds.discard(_NOTHING)
    if len(kinds) > 1 or not kinds <= set(_CELLS):
        raise Refused("objects of several kinds")
    if Decimal in kinds and len({_places(cell) for cell in cells if type(cell) is Decimal}) > 1:
        raise Refused("decimals of several precisions")
    return missing


def _places(cell: Decimal) -> int:
    """The decimal places, which Arrow keeps one number of. Raises Refused for what it has no word for."""
    sign, digits, exponent = cell.as_tuple()
    if not isinstance(exponent, int) or exponent > 0 or (sign and not any(digits)):
        raise Refused(str(cell))
    return exponent


def raw(index: Any) -> Any:
    """The values of an index or series: a numpy array, or an array of pandas for its own types."""
    np = load("numpy")
    return index.to_numpy() if isinstance(index.dtype, np.dtype) else index.array


def read_array(form: Form, column: Any, kept: Any) -> Any:
    """The numpy or pandas array that a chunked Arrow array stands for, writable.

    Args:
        kept: gives back an index by its place.
    """
    pd = load("pandas")
    np = load("numpy")

    if form is None:
        return column.to_pandas().to_numpy(copy=True)
    kind = form["kind"]
    if kind == "objects":
        cells: list[object] = column.to_pylist()
        if form["missing"] == "nan":
            cells = [np.nan if cell is None else cell for cell in cells]
        made = np.empty(len(cells), dtype=object)
        made[:] = cells
        return made
    if kind == "zoned":
        moments = pd.DatetimeIndex(column.to_pandas().to_numpy(copy=True))
        return moments.tz_localize("UTC").tz_convert(form["at"].tzinfo).array
    if kind == "text":
        return text_dtype(form).__from_arrow__(column)
    if kind == "arrow":
        return pd.ArrowDtype(column.type).__from_arrow__(column)
    if kind == "masked":
        # Read without pandas' own reader, which takes a NaN for a missing value.
        dtype = pd.api.types.pandas_dtype(form["name"])
        cells = np.array(column.fill_null(False if form["name"] == "boolean" else 0))
        return dtype.construct_array_type()(cells, np.array(column.is_null()))
    if kind == "period":
        return pd.arrays.PeriodArray(np.array(column), dtype=pd.api.types.pandas_dtype(form["name"]))
    if kind == "interval":
        left, right = (read_array(form["sides"], side, kept) for side in column.flatten())
        return pd.arrays.IntervalArray.from_arrays(left, right, closed=form["closed"])
    if kind == "category":
        dtype = pd.CategoricalDtype(kept(form["categories"]), ordered=form["ordered"])
        return pd.Categorical.from_codes(np.array(column), dtype=dtype)
    raise ValueError(f"a column of the unknown kind {kind!r}")


def write_index(index: Any, keep: Any) -> tuple[list[Any], dict[str, Any]]:
    """The Arrow arrays of an index, and how to make it again. Raises Refused."""
    pa = load("pyarrow")
    pd = load("pandas")

    if type(index) is pd.RangeIndex:
        return [], {"kind": "range", "range": [index.start, index.stop, index.step], "name": index.name}
    if type(index) is pd.MultiIndex:
        form = {
            "kind": "levels",
            "levels": [keep(level) for level in index.levels],
            "names": list(index.names),
        }
        return [pa.array(codes) for codes in index.codes], {**form, "sorted": index.sortorder}
    written, array = write_array(raw(index), keep)
    form = {"kind": "array", "array": array, "name": index.name}
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) and index.freq is not None:
        form["freq"] = _frequency(index)
    return [written], form


def _frequency(index: Any) -> str:
    """The frequency's text, if that and the values make the same index again. Raises Refused."""
    pd = load("pandas")
    freq = index.freq
    text = freq.freqstr
    try:
        same = pd.tseries.frequencies.to_offset(text)
        _with_frequency(index, text)
    except ValueError as error:
        raise Refused(text) from error
    if type(same) is not type(freq) or same != freq or same.normalize != freq.normalize:
        raise Refused(text)
    return text


def _with_frequency(index: Any, freq: str | None) -> Any:
    made = index._with_freq(None)
    made.freq = freq
    return made


def read_index(form: dict[str, Any], columns: list[Any], kept: Any) -> Any:
    """The index that arrays stand for."""
    pd = load("pandas")
    np = load("numpy")

    if form["kind"] == "range":
        return pd.RangeIndex(*form["range"], name=form["name"])
    if form["kind"] == "levels":
        levels = [kept(place) for place in form["levels"]]
        codes = [np.array(column) for column in columns]
        return pd.MultiIndex(
            levels, codes, sortorder=form["sorted"], names=form["names"], verify_integrity=False
        )
    values = read_array(form["array"], columns[0], kept)
    if isinstance(values, np.ndarray) and values.dtype.kind not in _TIMES:
        return pd.Index(values, dtype=values.dtype, name=form["name"])
    made = pd.Index(values, name=form["name"])
    if "freq" in form:
        made.freq = form["freq"]
    return made
