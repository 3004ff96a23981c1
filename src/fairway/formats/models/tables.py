"""The inputs of a model in the form that it was trained on: an array, or a table with column names and types.

This module knows the table libraries and no model library.
"""

import functools
from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import moments
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Feature, Signature

_MAKERS = {"object, whole": int, "object, truth": bool}
"""The type that makes a cell of a column of Python numbers."""


def merge(arrays: Arrays) -> Any | None:
    """Merge columns of numbers into one array `(rows, columns)` of a type that holds them all. Text gives None."""
    np = load("numpy")
    if any(array.dtype.kind == "O" or array.ndim != 1 for array in arrays.values()):
        return None
    merged = np.column_stack(list(arrays.values()))
    if merged.dtype.kind == "b":
        return merged.astype(np.float32)
    return merged if merged.dtype.kind != "f" or merged.dtype.itemsize > 2 else merged.astype(np.float32)


def table_of(signature: Signature, inputs: Arrays) -> Any:
    """Return the inputs as a table, in the order of the signature.

    The table belongs to the library of the sample. Without one it belongs to pandas, or to polars if pandas is missing.
    """
    if signature.layout == "tensor":
        array = inputs[signature.inputs[0].name]
        columns = {name: array[:, place] for place, name in enumerate(signature.columns)}
    else:
        columns = {spec.name: inputs[spec.name] for spec in signature.inputs}
    if signature.table == "polars":
        return _polars(signature, columns)
    try:
        pandas = load("pandas")
    except ImportError:
        return _polars(signature, columns)
    if signature.layout == "columns":
        features = {feature.name: feature for feature in signature.features}
        for name, array in columns.items():
            feature = features.get(name)
            if feature is not None:
                columns[name] = _pandas_column(pandas, feature, array)
            elif array.dtype.kind == "O":
                columns[name] = _text(pandas, array)
    frame = pandas.DataFrame(columns)
    if labels := {feature.name: feature.label for feature in signature.features if feature.label is not None}:
        frame = frame.rename(columns=labels)
    return frame


def array_of(signature: Signature, inputs: Arrays) -> Any:
    """Return the inputs as one array. Columns stand side by side."""
    if len(signature.inputs) == 1:
        array = inputs[signature.inputs[0].name]
        return array.reshape(-1, 1) if signature.layout == "columns" and array.ndim == 1 else array
    return load("numpy").column_stack([inputs[spec.name] for spec in signature.inputs])


def _text(pandas: Any, column: Any) -> Any:
    """Return a text column in the type that pandas reads text as. Its missing values are NaN."""
    if int(pandas.__version__.partition(".")[0]) >= 3:
        return pandas.Series(column, dtype="str")
    series = pandas.Series(column, dtype=object)
    return series.where(series.notna(), float("nan"))


def _pandas_column(pandas: Any, feature: Feature, array: Any) -> Any:
    """Return a column as it was in the sample: with its categories, moments, nullable numbers or Python objects."""
    kind, dtype = feature.kind, feature.dtype
    if kind == "category":
        return _categorical(pandas, feature, array)
    if dtype.startswith("object"):
        return pandas.Series(_objects(feature, array), dtype=object)
    if kind == "datetime":
        series = pandas.Series(moments.read_moments(array.tolist(), moments.unit_of(feature)))
        zone = moments.zone_of(feature)
        return series.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else series
    if kind == "duration":
        return pandas.Series(moments.read_durations(array.tolist(), moments.unit_of(feature)))
    if kind == "period":
        return pandas.Series(pandas.PeriodIndex(array.tolist(), dtype=dtype))
    if array.dtype.kind == "O" and not dtype:
        return _text(pandas, array)
    return pandas.Series(array, dtype=dtype) if dtype else array


def _objects(feature: Feature, array: Any) -> Any:
    """Return an array of Python's own values. Missing ones are as they were in the sample."""
    missing = None if feature.blank else float("nan")
    if feature.kind:
        cells = [missing if cell is None else moments.read_value(feature.kind, cell) for cell in array]
    elif array.dtype.kind == "O":
        cells = [missing if cell is None else cell for cell in array]
    else:
        make: Any = _MAKERS.get(feature.dtype, float)
        cells = [missing if cell != cell else make(cell) for cell in array.tolist()]
    out = load("numpy").empty(len(cells), dtype=object)
    out[:] = cells
    return out


class _Categories:
    """The categories of one feature in the form of pandas, and the code of each."""

    def __init__(self, pandas: Any, feature: Feature) -> None:
        known = list(feature.categories)
        self.index = pandas.Index(known, dtype=feature.dtype or None)
        self.dtype = pandas.CategoricalDtype(self.index, ordered=feature.ordered)
        self.codes = {category: code for code, category in enumerate(known)}


@functools.lru_cache(maxsize=256)
def _known(feature: Feature) -> _Categories:
    """Return the categories of a feature, made once."""
    return _Categories(load("pandas"), feature)


def _categorical(pandas: Any, feature: Feature, array: Any) -> Any:
    """Return a column that has all categories of the training, whichever of them the rows hold."""
    known = _known(feature)
    cells: list[Any] = array.tolist()
    codes = [known.codes.get(cell, -1) for cell in cells]
    if feature.unknown == "kept" and -1 in codes:
        strange = [cell for cell in dict.fromkeys(cells) if _is_strange(known.codes, cell)]
        if strange:
            index = pandas.Index([*feature.categories, *strange])
            return pandas.Series(pandas.Categorical(cells, categories=index, ordered=feature.ordered))
    return pandas.Series(pandas.Categorical.from_codes(codes, dtype=known.dtype))


def _is_strange(codes: dict[Any, int], cell: Any) -> bool:
    """Tell whether a cell holds a value that is none of the categories."""
    return cell is not None and cell == cell and cell not in codes


def _polars(signature: Signature, columns: dict[str, Any]) -> Any:
    """Return the columns as a table of polars."""
    polars = load("polars")
    features = {feature.name: feature for feature in signature.features}
    if signature.layout == "tensor":
        return polars.DataFrame(columns)
    return polars.DataFrame(
        [_polars_column(polars, name, features.get(name), array) for name, array in columns.items()]
    )


def _polars_column(polars: Any, name: str, feature: Feature | None, array: Any) -> Any:
    """Return a column of polars as it was in the sample."""
    if feature is None:
        return polars.Series(name, array.tolist() if array.dtype.kind == "O" else array)
    if feature.kind == "datetime":
        series = polars.Series(name, moments.read_moments(array.tolist(), moments.unit_of(feature)))
        zone = moments.zone_of(feature)
        return series.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else series
    if feature.kind == "duration":
        return polars.Series(name, moments.read_durations(array.tolist(), moments.unit_of(feature)))
    if feature.kind in ("date", "time"):
        cells = [None if cell is None else moments.read_value(feature.kind, cell) for cell in array]
        return polars.Series(name, cells, dtype=getattr(polars, feature.dtype, None))
    if feature.kind == "category":
        if feature.dtype != "Enum":  # the categories of a Categorical are the texts that it holds
            return polars.Series(name, array.tolist(), dtype=polars.Categorical)
        cells = [cell if cell in feature.categories else None for cell in array]
        return polars.Series(name, cells, dtype=polars.Enum(list(feature.categories)))
    if array.dtype.kind == "O":
        return polars.Series(name, array.tolist(), dtype=polars.String)
    made = (
        polars.Series(name, array).fill_nan(None) if array.dtype.kind == "f" else polars.Series(name, array)
    )
    return made.cast(getattr(polars, feature.dtype)) if feature.dtype else made
