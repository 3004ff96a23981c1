"""Arrays and indexes of pandas as Arrow arrays, with the plain values that are needed to make them again.

Every kind is written and read explicitly. Nothing depends on types that a process has registered with Arrow, or on
values that pandas has cached. A process that never saw the value therefore reads it as its writer would. A kind that
is not named here is refused. This module knows neither files nor tables.
"""

import datetime as dt
from decimal import Decimal
from typing import Any

from fairway.formats import arrow
from fairway.formats.frameworks import load

Form = dict[str, Any] | None
"""The plain values from which an array is made again.

None stands for a numpy array, which Arrow's own type describes.
"""

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
    """The error for an array that Arrow cannot hold so that it comes back exactly."""


def write_array(array: Any, keep: Any) -> tuple[Any, Form]:
    """Convert an array of numpy or pandas to an Arrow array without extension types.

    Args:
        array: the array.
        keep: stores an index apart, such as the categories, and returns its place.

    Returns:
        the Arrow array, and the form to make the array again.

    Raises:
        Refused: the array has a kind, or holds a value, that would not come back exactly.
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
    """Write moments with a time zone as moments in UTC."""
    pa = load("pyarrow")
    zone = array.dtype.tz
    # A moment in the zone stands for the zone, because plain values can hold moments and not zones.
    form = {"kind": "zoned", "at": _EPOCH.replace(tzinfo=zone)}
    return pa.array(array.tz_convert("UTC").tz_localize(None).to_numpy()), form


def _write_text(array: Any, keep: Any) -> tuple[Any, Form]:
    """Write text, with the type of pandas that holds it."""
    pa = load("pyarrow")
    return pa.array(array), {"kind": "text", **text_form(array.dtype)}


def _write_arrow(array: Any, keep: Any) -> tuple[Any, Form]:
    """Write an array that is an Arrow array already. Raises Refused for types that only this process knows."""
    written = array.__arrow_array__()
    if not arrow.is_known(written.type):
        raise Refused(str(written.type))
    return written, {"kind": "arrow"}


def _write_period(array: Any, keep: Any) -> tuple[Any, Form]:
    """Write periods as their ordinal numbers. Raises Refused for a frequency that its name does not give back."""
    pa = load("pyarrow")
    pd = load("pandas")
    name = array.dtype.name
    if pd.api.types.pandas_dtype(name) != array.dtype:
        raise Refused(name)
    return pa.array(array.asi8), {"kind": "period", "name": name}


def _write_interval(array: Any, keep: Any) -> tuple[Any, Form]:
    """Write intervals as a struct of their two sides."""
    pa = load("pyarrow")
    sides = [write_array(raw(side), keep) for side in (array.left, array.right)]
    struct = pa.StructArray.from_arrays([side for side, _ in sides], names=["left", "right"])
    return struct, {"kind": "interval", "closed": array.closed, "sides": sides[0][1]}


def _write_category(array: Any, keep: Any) -> tuple[Any, Form]:
    """Write categories as their codes, and keep the categories apart."""
    pa = load("pyarrow")
    form = {"kind": "category", "ordered": bool(array.ordered), "categories": keep(array.categories)}
    return pa.array(array.codes), form


def text_form(dtype: Any) -> dict[str, Any]:
    """Describe one of pandas' types of text."""
    pd = load("pandas")
    return {"storage": dtype.storage, "nan": dtype.na_value is not pd.NA}


def text_dtype(form: dict[str, Any]) -> Any:
    """Return the type of text that `text_form` described."""
    pd = load("pandas")
    np = load("numpy")
    return pd.StringDtype(form["storage"], na_value=np.nan if form["nan"] else pd.NA)


def is_text(arrow_type: Any) -> bool:
    """Tell whether text is written as this Arrow type."""
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
    """Return the word for missing cells in a column of Python objects: "none" or "nan".

    Raises Refused for other objects.
    """
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
    """Return the exponent of a decimal. Raises Refused for decimals that Arrow has no word for."""
    sign, digits, exponent = cell.as_tuple()
    if not isinstance(exponent, int) or exponent > 0 or (sign and not any(digits)):
        raise Refused(str(cell))
    return exponent


def raw(index: Any) -> Any:
    """Return the values of an index or series: a numpy array, or an array of pandas for pandas' own types."""
    np = load("numpy")
    return index.to_numpy() if isinstance(index.dtype, np.dtype) else index.array


def read_array(form: Form, column: Any, kept: Any) -> Any:
    """Make the numpy or pandas array that a chunked Arrow array stands for. It is writable.

    Args:
        form: the form that `write_array` returned.
        column: the chunked Arrow array.
        kept: returns an index by its place.
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
        # pandas' own reader is not used, because it takes a NaN for a missing value.
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
    """Convert an index to Arrow arrays. Raises Refused.

    Returns:
        the arrays, and the form to make the index again.
    """
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
    """Return the frequency as a text, if the text and the values make the same index again. Raises Refused."""
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
    """Return a copy of the index with another frequency. Raises ValueError when it does not fit the values."""
    made = index._with_freq(None)
    made.freq = freq
    return made


def read_index(form: dict[str, Any], columns: list[Any], kept: Any) -> Any:
    """Make the index that arrays stand for."""
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
