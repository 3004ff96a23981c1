"""pandas tables, series and indexes through Arrow, with index, names, order and dtypes unchanged.

`encode` returns None for values that Arrow would change, and the caller uses another format. This module knows no
other table library.
"""

import functools
from collections.abc import Callable
from typing import Any

from fairway.formats import arrow, columns, plain
from fairway.formats.encoded import SMALL, Content, Encoded
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError

_EXTRA = b"fairway"
_KEPT = "fairway.{}"
"""The metadata key of an index whose length differs from the table's: labels, levels or categories."""


def encode(value: Any) -> Encoded | None:
    """Encode a DataFrame, Series or Index. Subclasses and values that Arrow cannot hold exactly give None."""
    pd = load("pandas")

    if type(value) is pd.DataFrame:
        kind, note = "pandas.DataFrame", f"{len(value)} × {value.shape[1]}"
    elif type(value) is pd.Series:
        kind, note = "pandas.Series", f"{value.dtype} ({len(value)},)"
    elif isinstance(value, pd.Index) and type(value).__module__.partition(".")[0] == "pandas":
        kind, note = "pandas.Index", f"{value.dtype} ({len(value)},)"
    else:
        return None
    try:
        table = _to_arrow(value, kind)
        again = _from_arrow(table.slice(0, 0), kind)
    except _refusals():
        return None
    return arrow.encode_table(table, kind, note) if _same_form(value[:0], again) else None


def decode(content: Content, kind: str = "") -> object:
    """Return the DataFrame, or the "pandas.Series" or "pandas.Index" that `kind` names."""
    table = arrow.read_table(content)
    read = _extra(table)
    if read and "index" not in read:
        # The types come before the reading, because it drops those that are not known by then.
        _register_types()
        return _from_earlier(arrow.read_table(content), read, kind)
    return _from_arrow(table, kind)


def own_columns(table: Any) -> int:
    """Return how many columns of the table of a DataFrame are its own. Its index follows them. Raises SerializationError."""
    forms = _extra(table).get("arrays")
    return len(forms) if isinstance(forms, list) else len(table.column_names)  # pyright: ignore[reportUnknownArgumentType]


def _extra(table: Any) -> dict[str, Any]:
    """Return the plain values that were stored with a table to make its value again."""
    metadata: dict[bytes, bytes] = table.schema.metadata or {}
    read: Any = plain.Reader(importing=False).decode(metadata[_EXTRA]) if _EXTRA in metadata else {}
    return read


def _refusals() -> tuple[type[Exception], ...]:
    """Return the errors that mean that Arrow cannot hold a value exactly."""
    pa = load("pyarrow")

    return (
        columns.Refused,
        plain.NotPlain,
        RecursionError,
        pa.ArrowException,
        TypeError,
        ValueError,
        NotImplementedError,
        AttributeError,
    )


class _Writing:
    """The arrays of a table that is being written, and the indexes for its metadata."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.arrays: list[Any] = []
        self.kept: list[bytes] = []

    def keep(self, index: Any) -> int:
        """Store an index apart and return its place."""
        import io

        stream = io.BytesIO()
        arrow.write_table(stream, _to_arrow(index, "pandas.Index"))
        self.kept.append(stream.getvalue())
        return len(self.kept) - 1

    def column(self, name: str, array: Any) -> columns.Form:
        """Add a column and return the form to make it again."""
        written, form = columns.write_array(array, self.keep)
        self.names.append(name)
        self.arrays.append(written)
        return form

    def index(self, index: Any) -> dict[str, Any]:
        """Add the columns of an index and return the form to make it again."""
        arrays, form = columns.write_index(index, self.keep)
        self.names += [f"index {place}" for place in range(len(arrays))]
        self.arrays += arrays
        return form

    def labels(self, labels: Any) -> dict[str, Any]:
        """Return the form to make the labels of the columns again.

        Labels that are text are not stored apart, because the names of the columns contain them.
        """
        pd = load("pandas")
        dtype = labels.dtype
        if isinstance(dtype, pd.StringDtype) and all(type(label) is str for label in labels):
            return {"kind": "text", **columns.text_form(dtype), "name": labels.name}
        if type(labels) is pd.RangeIndex:
            return columns.write_index(labels, self.keep)[1]
        return {"kind": "kept", "place": self.keep(labels)}

    def table(self, extra: dict[str, Any]) -> Any:
        """Return the Arrow table with everything that was added."""
        pa = load("pyarrow")
        metadata = {_KEPT.format(place): content for place, content in enumerate(self.kept)}
        metadata[_EXTRA.decode()] = plain.Writer().encode(extra)
        return pa.Table.from_arrays(self.arrays, names=self.names).replace_schema_metadata(metadata)


def _to_arrow(value: Any, kind: str) -> Any:
    """Convert a value to a table. Raises one of `_refusals` when it would not read back as the same value."""
    writing = _Writing()
    extra: dict[str, Any] = {}
    if kind == "pandas.DataFrame":
        arrays = [writing.column(str(label), columns.raw(column)) for label, column in value.items()]
        extra = {"arrays": arrays, "labels": writing.labels(value.columns), "attrs": value.attrs}
    elif kind == "pandas.Series":
        extra = {
            "arrays": [writing.column("value", columns.raw(value))],
            "name": value.name,
            "attrs": value.attrs,
        }
    extra["index"] = writing.index(value if kind == "pandas.Index" else value.index)
    return writing.table(extra)


def _from_arrow(table: Any, kind: str) -> Any:
    """Make a value from its table. Raises SerializationError."""
    metadata: dict[bytes, bytes] = table.schema.metadata or {}
    if kind not in ("pandas.DataFrame", "pandas.Series", "pandas.Index"):
        raise SerializationError(f"a table of the unknown kind {kind!r} cannot be read")
    extra = _extra(table)
    if not extra:
        return table.to_pandas()

    @functools.cache
    def kept(place: int) -> Any:
        return _from_arrow(arrow.read_table(metadata[_KEPT.format(place).encode()]), "pandas.Index")

    forms: list[columns.Form] = extra.get("arrays", [])
    index = columns.read_index(extra["index"], table.columns[len(forms) :], kept)
    if kind == "pandas.Index":
        return index
    frame = _columns(table, forms, kept) if forms else load("pandas").DataFrame(index=index)
    frame.index = index[: len(frame)]
    if kind == "pandas.Series":
        series = frame["0"]
        series.name = extra["name"]
        series.attrs = extra["attrs"]
        return series
    frame.columns = _labels(extra["labels"], table.column_names[: len(forms)], kept)
    frame.attrs = extra["attrs"]
    return frame


def _columns(table: Any, forms: list[columns.Form], kept: Callable[[int], Any]) -> Any:
    """Make a frame from the columns in order. Its labels are their places."""
    pd = load("pandas")
    text = next((form for form in forms if form is not None and form["kind"] == "text"), None)
    simple = [place for place, form in enumerate(forms) if form is None or form == text]
    direct = table.select(simple).rename_columns([str(place) for place in simple])
    # Arrow makes numbers, times and text of one kind in one go. Most tables have no other columns.
    texts = columns.text_dtype(text) if text is not None else None

    def mapped(kind: Any) -> Any:
        return texts if columns.is_text(kind) else None

    frame = direct.to_pandas(
        types_mapper=mapped,
        use_threads=table.nbytes > SMALL,
    )
    if len(simple) == len(forms):
        return frame
    made: dict[str, Any] = {}
    for place, form in enumerate(forms):
        if form is None or form == text:
            made[str(place)] = frame[str(place)]
        else:
            array = columns.read_array(form, table.column(place), kept)
            made[str(place)] = pd.Series(array, dtype=array.dtype, copy=False)
    return pd.DataFrame(made, copy=False)


def _labels(form: dict[str, Any], names: list[str], kept: Callable[[int], Any]) -> Any:
    """Make the labels of the columns."""
    pd = load("pandas")

    if form["kind"] == "kept":
        return kept(form["place"])
    if form["kind"] == "text":
        return pd.Index(names, dtype=columns.text_dtype(form), name=form["name"])
    return columns.read_index(form, [], kept)


def _same_form(one: Any, other: Any) -> bool:
    """Tell whether two empty slices agree in everything but data."""
    pd = load("pandas")

    if isinstance(one, pd.Index):
        return _same_index(one, other)
    if not _same_index(one.index, other.index) or one.attrs != other.attrs or one.flags != other.flags:
        return False
    if isinstance(one, pd.Series):
        return one.dtype == other.dtype
    return _same_index(one.columns, other.columns) and list(one.dtypes) == list(other.dtypes)


def _same_index(one: Any, other: Any) -> bool:
    """Tell whether two indexes agree in their types and levels."""
    return (
        type(one) is type(other)
        and one.dtype == other.dtype
        and all(map(_same_level, getattr(one, "levels", ()), getattr(other, "levels", ())))
    )


def _same_level(one: Any, other: Any) -> bool:
    """Tell whether two levels agree in type and length."""
    return _same_index(one, other) and len(one) == len(other)


def _register_types() -> None:
    """Make pandas register its Arrow types. It does so at the first conversion of such an array."""
    pa = load("pyarrow")
    pd = load("pandas")

    pa.array(pd.array([], dtype=pd.PeriodDtype("D")))


def _from_earlier(table: Any, extra: Any, kind: str) -> Any:
    """Make a value from a table that the first version wrote.

    That version left index and dtypes to Arrow's own reading of pandas' tables.
    """
    np = load("numpy")
    pd = load("pandas")

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
    return frame.index if kind == "pandas.Index" else frame
