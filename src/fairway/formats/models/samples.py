"""Sample rows of a model: read from what the user gave, and stored with the outputs the model gave for them.

The stored form is JSON without code, in the terms of the Open Inference Protocol, so that a page can show
it. Knows no model.
"""

from typing import Any, cast

import msgspec

from fairway.formats import plain
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError, UsageError
from fairway.spec.model import Datatype, TensorSpec

Arrays = dict[str, Any]
"""numpy arrays by name, the rows as first dimension; text is an array of objects of type str or None."""

MAX_ROWS = 32
_MAX_VALUES = 200_000

_DATATYPES: dict[str, Datatype] = {
    "b1": "BOOL",
    "u1": "UINT8",
    "u2": "UINT16",
    "u4": "UINT32",
    "u8": "UINT64",
    "i1": "INT8",
    "i2": "INT16",
    "i4": "INT32",
    "i8": "INT64",
    "f2": "FP16",
    "f4": "FP32",
    "f8": "FP64",
}
_DTYPES = {datatype: code for code, datatype in _DATATYPES.items()}
_NUMBERS: frozenset[type] = frozenset({int, float, bool})
_TEXT: frozenset[type] = frozenset({str})
_HINT = "give `sample=` as a table, an array, or a list of rows with numbers and text"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample as arrays.

    Attributes:
        table: whether it had named columns; then there is one array of shape `(rows,)` per column.
        native: the sample in the form the user's model takes, cut to the same rows.
    """

    arrays: Arrays
    table: bool
    native: Any


def datatype_of(array: Any) -> Datatype:
    """The protocol's element type of an array. Raises UsageError for types it does not have."""
    if array.dtype.kind in "OSU":
        return "BYTES"
    code = f"{array.dtype.kind}{array.dtype.itemsize}"
    if code not in _DATATYPES:
        raise UsageError(f"a model's inputs and outputs cannot be of type {array.dtype}", hint=_HINT)
    return _DATATYPES[code]


def dtype_of(datatype: str) -> Any:
    """The numpy type of a protocol element type; text is held as objects."""
    return load("numpy").dtype(object if datatype == "BYTES" else _DTYPES[datatype])


def spec_of(name: str, array: Any) -> TensorSpec:
    """The description of an array whose first dimension is the batch."""
    return TensorSpec(name=name, datatype=datatype_of(array), shape=(-1, *array.shape[1:]))


def read_sample(sample: Any) -> Sample:
    """Up to 32 rows of a table, array, tensor, sparse matrix, dict of arrays or list of rows.

    Raises:
        UsageError: the sample is empty, or holds what a request cannot: dates, nested objects, ragged rows.
    """
    rows = _dicts(sample)
    if rows:
        names = list(rows[0])
        if any(set(row) != set(names) for row in rows):
            raise UsageError("the rows of the sample do not all have the same fields", hint=_HINT)
        sample = {name: [row[name] for row in rows] for name in names}
    named = _columns(sample)
    if named is None:
        array = _array("the sample", _rows(_dense(sample), MAX_ROWS))
        if array.ndim == 0:
            raise UsageError("the sample is a single value, not rows", hint=_HINT)
        per_row = max(1, array[:1].size)
        array = array[: max(1, min(MAX_ROWS, _MAX_VALUES // per_row))]
        arrays, native = {"input": array}, array
    else:
        arrays = {str(name): _array(f"column {name!r}", column) for name, column in named.items()}
        native = _rows(sample, MAX_ROWS) if hasattr(sample, "shape") else None
    if not arrays or not all(len(array) for array in arrays.values()):
        raise UsageError("the sample has no rows", hint=_HINT)
    if len({len(array) for array in arrays.values()}) > 1:
        raise UsageError("the columns of the sample have different lengths", hint=_HINT)
    return Sample(arrays=arrays, table=named is not None, native=native)


def encode_samples(inputs: Arrays, outputs: Arrays) -> bytes:
    """Inputs and outputs, all with the same number of rows, as JSON."""
    content = {
        side: {name: _write(array) for name, array in arrays.items()}
        for side, arrays in (("inputs", inputs), ("outputs", outputs))
    }
    return plain.Writer().encode(content)


def decode_samples(data: bytes) -> tuple[Arrays, Arrays]:
    """The inputs and the outputs. Raises SerializationError."""
    content: Any = plain.Reader(importing=False).decode(data)
    try:
        inputs, outputs = (
            {name: _read(tensor) for name, tensor in content[side].items()} for side in ("inputs", "outputs")
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SerializationError(f"stored samples cannot be read: {error}") from error
    return inputs, outputs


def _write(array: Any) -> dict[str, object]:
    return {
        "datatype": datatype_of(array),
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
    }


def _read(tensor: dict[str, Any]) -> Any:
    np = load("numpy")
    array = np.empty(len(tensor["data"]), dtype=dtype_of(tensor["datatype"]))
    array[:] = tensor["data"]
    return array.reshape(tensor["shape"])


def _dicts(sample: Any) -> list[dict[str, Any]]:
    """The first rows of a list of dicts; empty for anything else."""
    if type(sample) is not list:
        return []
    rows = cast(list[Any], sample)[:MAX_ROWS]
    return rows if rows and all(type(row) is dict for row in rows) else []


def _columns(sample: Any) -> dict[Any, Any] | None:
    """The columns of a table, cut to the first rows; None for what is not a table."""
    root = type(sample).__module__.partition(".")[0]
    name = type(sample).__name__
    if isinstance(sample, dict):
        return {key: _rows(column, MAX_ROWS) for key, column in sample.items()}  # pyright: ignore
    if root == "pandas" and name == "DataFrame":
        return {key: sample[key].iloc[:MAX_ROWS] for key in sample.columns}
    if root == "polars" and name == "DataFrame":
        return {key: sample[key][:MAX_ROWS] for key in sample.columns}
    if root == "pyarrow" and name in ("Table", "RecordBatch"):
        return {key: sample.column(key)[:MAX_ROWS] for key in sample.schema.names}
    return None


def _rows(sample: Any, count: int) -> Any:
    if hasattr(sample, "iloc"):
        return sample.iloc[:count]
    return sample[:count] if hasattr(sample, "__getitem__") else sample


def _dense(sample: Any) -> Any:
    """Sparse matrices and tensors as what numpy takes."""
    if hasattr(sample, "toarray"):
        return (
            sample[:MAX_ROWS].toarray()
            if hasattr(sample, "__getitem__")
            else sample.tocsr()[:MAX_ROWS].toarray()
        )
    return sample.detach().cpu().numpy() if hasattr(sample, "detach") else sample


def _array(what: str, column: Any) -> Any:
    """One column or a whole array as numpy, text as objects."""
    np = load("numpy")
    if hasattr(column, "cat") and hasattr(column, "iloc"):
        column = column.astype(column.cat.categories.dtype)
    array: Any
    try:
        if hasattr(column, "isna") and hasattr(column, "to_numpy"):
            array = _pandas_array(np, column)
        elif hasattr(column, "to_numpy"):
            array = np.asarray(column.to_numpy())
        else:
            array = np.asarray(column)
    except ValueError as error:
        raise UsageError(f"{what} cannot be made an array: {error}", hint=_HINT) from error
    if array.dtype.kind in "SU":
        array = array.astype(str).astype(object)
    if array.dtype.kind == "O":
        return _objects(np, what, array)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise UsageError(
            f"{what} is of type {array.dtype}, which a request cannot carry",
            hint="turn it into numbers or text in the pipeline, before the model is trained",
        )
    return array


def _pandas_array(np: Any, column: Any) -> Any:
    """A pandas column; missing values of its nullable types become NaN, of text None."""
    kind = getattr(column.dtype, "kind", "O")
    if not column.isna().any() or isinstance(column.dtype, np.dtype):
        if kind in "biuf" and not isinstance(column.dtype, np.dtype):
            return column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", None))
        return column.to_numpy()
    return (
        column.to_numpy(dtype="float64", na_value=np.nan) if kind in "biuf" else column.to_numpy(dtype=object)
    )


def _objects(np: Any, what: str, array: Any) -> Any:
    cells = [None if cell is None or cell != cell else cell for cell in array.ravel().tolist()]
    known: set[type] = {type(cell) for cell in cells if cell is not None}
    if known and known <= _NUMBERS:
        missing: list[Any] = [np.nan if cell is None else cell for cell in cells]
        return np.asarray(missing, dtype=np.float64).reshape(array.shape)
    if not known <= _TEXT:
        strange = ", ".join(sorted(cls.__name__ for cls in known - _TEXT))
        raise UsageError(f"{what} holds values of type {strange}, which a request cannot carry", hint=_HINT)
    out = np.empty(len(cells), dtype=object)
    out[:] = cells
    return out.reshape(array.shape)
