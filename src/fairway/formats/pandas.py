"""pandas tables, series and indexes through Arrow, with index, names, order and dtypes as they were.

What Arrow would change is not written here: `encode` compares what an empty slice reads back as and
refuses, and the caller falls back. Knows nothing of other table libraries.
"""

from typing import Any

from fairway.formats import arrow, plain
from fairway.formats.encoded import Content, Encoded
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError

_EXTRA = b"fairway"
_TIMED = ("DatetimeIndex", "TimedeltaIndex")
"""Indexes whose frequency is not part of their type."""

_CELLS: tuple[frozenset[str], ...] = tuple(
    frozenset((name, "NoneType")) for name in ("str", "bytes", "bool", "date", "Decimal")
)


def encode(value: Any) -> Encoded | None:
    """A DataFrame, Series or Index; None for subclasses and for what Arrow cannot hold exactly."""
    pd = load("pandas")

    if type(value) is pd.DataFrame:
        kind, frame, note = "pandas.DataFrame", value, f"{len(value)} × {value.shape[1]}"
    elif type(value) is pd.Series:
        kind, frame, note = "pandas.Series", value.to_frame("value"), f"{value.dtype} ({len(value)},)"
    elif isinstance(value, pd.Index) and type(value).__module__.partition(".")[0] == "pandas":
        kind, frame, note = "pandas.Index", pd.DataFrame(index=value), f"{value.dtype} ({len(value)},)"
    else:
        return None
    try:
        table = _to_arrow(frame, value)
    except _arrow_errors():
        return None
    return None if table is None else arrow.encode_table(table, kind, note)


def decode(content: Content, kind: str = "") -> object:
    """The DataFrame, or what `kind` names: "pandas.Series" or "pandas.Index"."""
    table = arrow.read_table(content)
    return _from_arrow(table, kind)


def _arrow_errors() -> tuple[type[Exception], ...]:
    pa = load("pyarrow")

    return (pa.ArrowException, TypeError, ValueError, NotImplementedError, plain.NotPlain)


def _to_arrow(frame: Any, value: Any) -> Any:
    """The table, or None when it would not read back as the same value."""
    pa = load("pyarrow")

    objects: list[list[object]] = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype == object:
            missing = _missing(column)
            if missing == "mixed":
                return None
            objects.append([place, missing])
    if _index_is_objects(frame.index):
        return None
    table = pa.Table.from_pandas(frame, preserve_index=None)
    if table.num_columns == 0 and len(frame) > 0:
        return None
    name = value.name if type(value).__name__ == "Series" else None
    columns = frame.columns
    extra = {
        "objects": objects,
        "name": name,
        "range": [columns.start, columns.stop, columns.step]
        if type(columns).__name__ == "RangeIndex"
        else None,
        "freq": frame.index.freqstr
        if type(frame.index).__name__ in _TIMED and frame.index.freq is not None
        else None,
    }
    encoded = plain.Writer().encode(extra)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _EXTRA: encoded})
    again = _from_arrow(table.slice(0, 0), "pandas.DataFrame")
    return table if _same_form(frame.iloc[:0], again) else None


def _missing(column: Any) -> str:
    """How a column of objects writes what is missing: "none", "nan", or "mixed" if it cannot be kept."""
    cells = list(column.array)
    names = frozenset(type(cell).__name__ for cell in cells)
    if any(names <= allowed for allowed in _CELLS):
        return "none"
    if sorted(names) == ["float", "str"] and all(cell != cell for cell in cells if type(cell) is float):
        return "nan"
    return "mixed"


def _index_is_objects(index: Any) -> bool:
    levels = getattr(index, "levels", [index])
    return any(level.dtype == object and not set(map(type, level)) <= {str} for level in levels)


def _same_form(one: Any, other: Any) -> bool:
    """Whether two empty slices agree in everything but data."""
    return (
        list(one.dtypes) == list(other.dtypes)
        and type(one.columns) is type(other.columns)
        and one.columns.dtype == other.columns.dtype
        and one.columns.identical(other.columns)
        and type(one.index) is type(other.index)
        and list(one.index.names) == list(other.index.names)
        and _level_types(one.index) == _level_types(other.index)
        and one.attrs == other.attrs
        and one.flags == other.flags
    )


def _level_types(index: Any) -> list[object]:
    return [level.dtype for level in getattr(index, "levels", [index])]


def _from_arrow(table: Any, kind: str) -> Any:
    np = load("numpy")
    pd = load("pandas")

    metadata: dict[bytes, bytes] = table.schema.metadata or {}
    if _EXTRA not in metadata:
        return table.to_pandas()
    extra: Any = plain.Reader(importing=False).decode(metadata[_EXTRA])
    frame = table.to_pandas()
    for place, missing in extra["objects"]:
        cells: list[object] = table.column(place).to_pylist()
        if missing == "nan":
            cells = [np.nan if cell is None else cell for cell in cells]
        frame.isetitem(place, pd.Series(cells, index=frame.index, dtype=object))
    if extra["range"] is not None:
        frame.columns = pd.RangeIndex(*extra["range"], name=frame.columns.name)
    if extra["freq"] and len(frame.index) > 0:
        frame.index.freq = extra["freq"]
    if kind == "pandas.Series":
        series = frame["value"]
        series.name = extra["name"]
        return series
    if kind == "pandas.Index":
        return frame.index
    if kind != "pandas.DataFrame":
        raise SerializationError(f"a table of the unknown kind {kind!r} cannot be read")
    return frame
