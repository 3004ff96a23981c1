"""A column of a sample: some of its values as an array, and the facts that its whole length shows.

Missing values, kinds of values and categories are looked for in every row, because a request may contain what only a
late row shows. This module knows the columns of pandas, polars and numpy, and no models.
"""

from datetime import date, datetime, time, timedelta
from typing import Any, cast

import msgspec

from fairway.formats.frameworks import load
from fairway.formats.models import moments
from fairway.spec.errors import UsageError
from fairway.spec.model import Feature, FeatureKind

HINT = "give `sample=` as a table, an array, or a list of rows with numbers, text, dates or times"
_ENCODE = "turn it into numbers or text in the pipeline, before the model is trained"
_WHOLE: frozenset[type] = frozenset({int})
_TRUTH: frozenset[type] = frozenset({bool})
_NUMBERS: frozenset[type] = frozenset({int, float, bool})
_TEXT: frozenset[type] = frozenset({str})
_OBJECT_KINDS: tuple[tuple[type, FeatureKind], ...] = (
    (datetime, "datetime"),
    (date, "date"),
    (time, "time"),
    (timedelta, "duration"),
)

Read = tuple[Any, Feature]
"""An array of the wanted rows, and the facts about the column."""


def read_column(name: str, column: Any, rows: list[int]) -> Read:
    """Read some rows of a column, and the facts about the whole column. Raises UsageError.

    Args:
        name: the column's name.
        column: a column of pandas or polars, an array or a list.
        rows: the numbers of the wanted rows.
    """
    root = type(column).__module__.partition(".")[0]
    if root == "pandas" and hasattr(column, "iloc"):
        return _pandas(name, column, rows)
    if root == "polars":
        return _polars(name, column, rows)
    return _plain(name, column, rows)


def _pandas(name: str, column: Any, rows: list[int]) -> Read:
    """Read a column of pandas."""
    np = load("numpy")
    dtype, kind = column.dtype, getattr(column.dtype, "kind", "O")
    nullable = bool(column.isna().any())
    if hasattr(dtype, "categories"):
        return _categories(name, dtype, [column.iloc[row] for row in rows], nullable)
    if kind == "M":
        zone = str(column.dt.tz) if column.dt.tz is not None else ""
        plain = column.dt.tz_convert("UTC").dt.tz_localize(None) if zone else column
        moment = np.asarray(plain.iloc[rows].to_numpy(), dtype=f"datetime64[{column.dt.unit}]")
        return _moments(name, moment, zone, nullable)
    if kind == "m":
        span = np.asarray(column.iloc[rows].to_numpy(), dtype=f"timedelta64[{column.dt.unit}]")
        return _durations(name, span, nullable)
    if str(dtype).startswith("period["):
        cells = [None if cell is load("pandas").NaT else str(cell) for cell in column.iloc[rows]]
        return _texts(cells), Feature(name=name, kind="period", dtype=str(dtype), nullable=nullable)
    if kind in "biuf":
        wanted = str(dtype)
        if isinstance(dtype, np.dtype):
            return _number(name, column.iloc[rows].to_numpy(), nullable, "")
        part = column.iloc[rows]
        if nullable:
            return part.to_numpy(dtype="float64", na_value=np.nan), Feature(
                name=name, dtype=wanted, nullable=True
            )
        array = part.to_numpy(dtype=getattr(dtype, "numpy_dtype", None))
        return _number(name, array, False, "" if wanted.startswith("Sparse") else wanted)
    array, feature = _objects(name, column.to_numpy(dtype=object), rows)
    if str(dtype) == "object":
        return array, msgspec.structs.replace(feature, dtype=feature.dtype or "object")
    wanted = "" if str(dtype) == "str" else str(dtype)
    return array, msgspec.structs.replace(feature, dtype=feature.dtype or wanted, blank=False)


def _polars(name: str, column: Any, rows: list[int]) -> Read:
    """Read a column of polars."""
    dtype: Any = column.dtype
    kind: str = getattr(dtype, "__name__", "") or type(dtype).__name__
    nullable = column.null_count() > 0
    part = column[rows]
    if kind in ("Categorical", "Enum"):
        known: Any = dtype.categories if kind == "Enum" else column.drop_nulls().unique().cast(str).sort()
        categories: list[str] = known.to_list()
        return _texts(part.to_list()), Feature(
            name=name, kind="category", dtype=kind, categories=tuple(categories), nullable=nullable
        )
    if kind == "Datetime":
        return _moments(name, part.to_numpy(), getattr(dtype, "time_zone", None) or "", nullable)
    if kind == "Duration":
        return _durations(name, part.to_numpy(), nullable)
    if kind in ("Date", "Time", "String", "Object", "Null"):
        array, feature = _objects(name, _object_array(column.to_list()), rows)
        wanted = "" if kind == "String" else kind
        return array, msgspec.structs.replace(feature, dtype=wanted, blank=False)
    if dtype.is_numeric() or kind == "Boolean":
        nullable = nullable or (dtype.is_float() and bool(column.is_nan().any()))
        if nullable:
            return part.cast(load("polars").Float64).fill_null(float("nan")).to_numpy(), Feature(
                name=name, dtype="" if dtype.is_float() else kind, nullable=True
            )
        return _number(name, part.to_numpy(), False, "")
    raise _strange(name, str(dtype))


def _plain(name: str, column: Any, rows: list[int]) -> Read:
    """Read a list, or an array of numpy or of another library."""
    try:
        listed = list(cast("list[Any]", column)) if isinstance(column, (list, tuple)) else None
        flat = listed is not None and not _nested(listed)
        array = _object_array(listed or []) if flat else _as_numpy(column)
    except ValueError as error:
        raise UsageError(f"column {name!r} cannot be made an array: {error}", hint=HINT) from error
    return read_array(name, array, rows)


def read_array(name: str, array: Any, rows: list[int]) -> Read:
    """Read some rows of a numpy array, and the facts about the whole array. Raises UsageError.

    The array may have any number of dimensions. Its rows are the first.
    """
    kind = array.dtype.kind
    if kind in "SU":
        array = array.astype(str).astype(object)
    if kind in "OSU":
        return _own_types(*_objects(name, array, rows))
    if kind == "M" and array.ndim == 1:
        return _moments(name, _counted(array[rows]), "", bool(load("numpy").isnat(array).any()))
    if kind == "m" and array.ndim == 1:
        return _durations(name, _counted(array[rows]), bool(load("numpy").isnat(array).any()))
    nullable = kind == "f" and bool(load("numpy").isnan(array).any())
    return _number(name, array[rows], nullable, "")


def _own_types(array: Any, feature: Feature) -> Read:
    """Return the feature with the types that a table gives to such values by itself."""
    zone = ", UTC" if feature.dtype == "object, UTC" else ""
    dtype = {"datetime": f"datetime64[us{zone}]", "duration": "timedelta64[us]", "": ""}
    return array, msgspec.structs.replace(feature, dtype=dtype.get(feature.kind, "object"), blank=False)


def _counted(array: Any) -> Any:
    """Convert moments or durations to a unit that tables have: days and longer units become seconds."""
    unit = load("numpy").datetime_data(array.dtype)[0]
    return array if unit in ("s", "ms", "us", "ns") else array.astype(f"{array.dtype.kind}8[s]")


def _number(name: str, array: Any, nullable: bool, dtype: str) -> Read:
    """Return an array of numbers with its feature. Raises UsageError for other types."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise _strange(name, str(array.dtype))
    return array, Feature(name=name, dtype=dtype, nullable=nullable or _has_nan(array))


def _has_nan(array: Any) -> bool:
    """Tell whether an array holds a NaN."""
    return array.dtype.kind == "f" and bool(load("numpy").isnan(array).any())


def _moments(name: str, array: Any, zone: str, nullable: bool) -> Read:
    """Return moments as texts, with their feature."""
    unit = load("numpy").datetime_data(array.dtype)[0]
    dtype = f"datetime64[{unit}, {zone}]" if zone else f"datetime64[{unit}]"
    texts = moments.write_moments(array, bool(zone))
    return _texts(texts), Feature(name=name, kind="datetime", dtype=dtype, nullable=nullable)


def _durations(name: str, array: Any, nullable: bool) -> Read:
    """Return durations as texts, with their feature."""
    unit = load("numpy").datetime_data(array.dtype)[0]
    feature = Feature(name=name, kind="duration", dtype=f"timedelta64[{unit}]", nullable=nullable)
    return _texts(moments.write_durations(array)), feature


def _categories(name: str, dtype: Any, cells: list[Any], nullable: bool) -> Read:
    """Read a column of pandas categories, which are texts, numbers or truth values. Raises UsageError for others."""
    np = load("numpy")
    categories: list[Any] = dtype.categories.tolist()
    kinds = set(map(type, categories))
    if not (kinds <= _TEXT or kinds <= _TRUTH or kinds <= {int, float}):
        words = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise UsageError(
            f"column {name!r} has categories of type {words}, which a request cannot carry",
            hint="make its categories texts or numbers before the model is trained",
        )
    if kinds <= _TEXT:
        array = _texts([None if _is_missing(cell) else cell for cell in cells])
    elif nullable:
        array = np.array([np.nan if _is_missing(cell) else cell for cell in cells], dtype=np.float64)
    else:
        array = np.array(cells, dtype=np.asarray(categories).dtype)
    feature = Feature(
        name=name,
        kind="category",
        dtype=str(dtype.categories.dtype),
        categories=tuple(categories),
        ordered=bool(dtype.ordered),
        nullable=nullable,
    )
    return array, feature


def _objects(name: str, array: Any, rows: list[int]) -> Read:
    """Read Python objects of one kind: texts, numbers, truth values, dates, times or durations.

    Raises UsageError for others.
    """
    np = load("numpy")
    cells: list[Any] = array.ravel().tolist()
    known = set(map(type, cells)) - {type(None)}
    blank = any(cell is None for cell in cells)
    if nullable := blank or any(not kind.__hash__ or kind not in _CERTAIN for kind in known):
        present = [cell for cell in cells if not _is_missing(cell)]
        nullable, known = len(present) < len(cells), set(map(type, present))
    known = {python_kind(kind) for kind in known}
    chosen = array[rows]
    picked = [None if _is_missing(cell) else cell for cell in chosen.ravel().tolist()]
    feature = Feature(name=name, nullable=nullable, blank=blank)
    if known <= _TEXT:
        return _texts(picked).reshape(chosen.shape), feature
    if known <= _NUMBERS:
        exact = not nullable and (known <= _WHOLE or known <= _TRUTH)
        dtype = None if exact else np.float64
        made = np.array([np.nan if cell is None else cell for cell in picked], dtype=dtype)
        return _number(name, made.reshape(chosen.shape), nullable, "")[0], msgspec.structs.replace(
            feature, dtype=_object_dtype(known)
        )
    kind = next((word for cls, word in _OBJECT_KINDS if known == {cls}), None)
    if kind is None or chosen.ndim != 1:
        strange = ", ".join(sorted(cls.__name__ for cls in known - _TEXT))
        raise UsageError(
            f"column {name!r} holds values of type {strange}, which a request cannot carry", hint=HINT
        )
    zoned = {getattr(cell, "tzinfo", None) is not None for cell in picked if cell is not None}
    if len(zoned) > 1:
        raise UsageError(f"column {name!r} holds moments with and without a time zone", hint=_ENCODE)
    texts = [None if cell is None else moments.write_value(cell) for cell in picked]
    return _texts(texts), msgspec.structs.replace(
        feature, kind=kind, dtype="object, UTC" if kind == "datetime" and True in zoned else "object"
    )


_CERTAIN: frozenset[type] = frozenset({str, int, bool, date, time, timedelta})
"""Types without a missing value, unlike float with its NaN."""


def _object_dtype(known: set[type]) -> str:
    """Return the word for a column of Python numbers of one kind."""
    return {frozenset(_WHOLE): "object, whole", frozenset(_TRUTH): "object, truth"}.get(
        frozenset(known), "object"
    )


def python_kind(kind: type) -> type:
    """Return the type of Python that corresponds to a scalar type of numpy or pandas."""
    np = load("numpy")
    for wanted, ours in ((bool, bool), (np.bool_, bool), (int, int), (np.integer, int), (float, float),
                         (np.floating, float), (str, str), (datetime, datetime), (date, date), (timedelta, timedelta),
                         (time, time)):  # fmt: skip
        if issubclass(kind, wanted):
            return ours
    return kind


def _is_missing(cell: Any) -> bool:
    """Tell whether a cell is None, NaN, NaT or the missing value of pandas."""
    if cell is None:
        return True
    try:
        return bool(cell != cell)
    except (TypeError, ValueError):  # the comparison has no truth value, as for pandas' own missing value
        return type(cell).__name__ == "NAType"


def _nested(column: list[Any]) -> bool:
    """Tell whether the cells of a list are lists or arrays themselves."""
    return bool(column) and hasattr(column[0], "__len__") and not isinstance(column[0], (str, bytes))


def _as_numpy(column: Any) -> Any:
    """Convert a column of any library to a numpy array."""
    return load("numpy").asarray(column.to_numpy() if hasattr(column, "to_numpy") else column)


def _object_array(cells: list[Any]) -> Any:
    """Return an array with one object in each cell."""
    array = load("numpy").empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _texts(cells: list[Any]) -> Any:
    """Return an array of texts. None stands for a missing one."""
    return _object_array(cells)


def _strange(name: str, kind: str) -> UsageError:
    """Return the error for a column of a type that a request cannot carry."""
    return UsageError(f"column {name!r} is of type {kind}, which a request cannot carry", hint=_ENCODE)
