"""Gives a model its inputs in the form it was trained on: an array, or a table with its column names.

Knows which table libraries there are and no model library.
"""

from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Signature


def merge(arrays: Arrays) -> Any | None:
    """Columns of numbers as one array `(rows, columns)` of a type that holds them all; None with text."""
    np = load("numpy")
    if any(array.dtype.kind == "O" or array.ndim != 1 for array in arrays.values()):
        return None
    merged = np.column_stack(list(arrays.values()))
    if merged.dtype.kind == "b":
        return merged.astype(np.float32)
    return merged if merged.dtype.kind != "f" or merged.dtype.itemsize > 2 else merged.astype(np.float32)


def table_of(signature: Signature, inputs: Arrays, *, categories: bool = False) -> Any:
    """The inputs as a pandas table, or a polars one where pandas is missing, in the order of the signature.

    Args:
        categories: whether text columns become categories, as boosters take them.
    """
    if signature.layout == "tensor":
        array = inputs[signature.inputs[0].name]
        columns = {name: array[:, place] for place, name in enumerate(signature.columns)}
    else:
        columns = {spec.name: inputs[spec.name] for spec in signature.inputs}
    try:
        pandas = load("pandas")
    except ImportError:
        return load("polars").DataFrame(columns)
    if signature.layout == "tensor":
        return pandas.DataFrame(columns)
    for spec in signature.inputs:
        if spec.datatype == "BYTES":
            columns[spec.name] = _text(pandas, columns[spec.name], categories)
    return pandas.DataFrame(columns)


def _text(pandas: Any, column: Any, categories: bool) -> Any:
    """A text column of the type that pandas reads text as, whose missing values are NaN."""
    if int(pandas.__version__.partition(".")[0]) >= 3:
        series = pandas.Series(column, dtype="str")
    else:
        series = pandas.Series(column, dtype=object)
        series = series.where(series.notna(), float("nan"))
    return series.astype("category") if categories else series


def array_of(signature: Signature, inputs: Arrays) -> Any:
    """The inputs as one array; columns side by side."""
    if len(signature.inputs) == 1:
        array = inputs[signature.inputs[0].name]
        return array.reshape(-1, 1) if signature.layout == "columns" and array.ndim == 1 else array
    return load("numpy").column_stack([inputs[spec.name] for spec in signature.inputs])
