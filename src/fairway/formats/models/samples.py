"""Sample rows of a model: read from a user's value, and stored with the model's outputs for them.

The stored form is JSON without code, in the terms of the Open Inference Protocol, so that a page can show it. This
module knows no models.
"""

from typing import Any, cast

import msgspec

from fairway.formats import plain
from fairway.formats.frameworks import load
from fairway.formats.models.columns import HINT, read_array, read_column
from fairway.spec.errors import SerializationError, UsageError
from fairway.spec.model import Datatype, Feature, TensorSpec

Arrays = dict[str, Any]
"""numpy arrays by name, with the rows as first dimension. Text is an array of objects of type str or None."""

MAX_ROWS = 32
"""The largest number of rows that are kept."""
_MAX_VALUES = 200_000
"""The largest number of values that are kept, for rows that are large themselves."""

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


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample as arrays.

    Attributes:
        arrays: the arrays by name.
        table: True when the sample had named columns. Each column is then an array of shape `(rows,)`.
        native: the sample in the form that the user's model takes, cut to the same rows.
        features: facts about columns that go beyond their element type.
        library: "pandas" or "polars" for a table of that library, otherwise empty.
    """

    arrays: Arrays
    table: bool
    native: Any
    features: tuple[Feature, ...]
    library: str


def datatype_of(array: Any) -> Datatype:
    """Return the protocol's element type of an array. Raises UsageError for types that the protocol lacks."""
    if array.dtype.kind in "OSU":
        return "BYTES"
    code = f"{array.dtype.kind}{array.dtype.itemsize}"
    if code not in _DATATYPES:
        raise UsageError(f"a model's inputs and outputs cannot be of type {array.dtype}", hint=HINT)
    return _DATATYPES[code]


def dtype_of(datatype: str) -> Any:
    """Return the numpy type of a protocol's element type. Text is held as objects."""
    return load("numpy").dtype(object if datatype == "BYTES" else _DTYPES[datatype])


def spec_of(name: str, array: Any) -> TensorSpec:
    """Describe an array whose first dimension is the batch."""
    return TensorSpec(name=name, datatype=datatype_of(array), shape=(-1, *array.shape[1:]))


def read_sample(sample: Any) -> Sample:
    """Read up to 32 rows of a table, array, tensor, sparse matrix, dict of arrays or list of rows.

    The kinds of values and the places of missing ones are read from all rows.

    Raises:
        UsageError: the sample is empty, has two columns with one name, or holds values that a request cannot carry,
            such as nested objects or ragged rows.
    """
    sample = _from_dicts(sample)
    named = _columns(sample)
    if named is None:
        return _read_array(sample)
    if single := next(
        (label for label, column in named if isinstance(column, str) or not hasattr(column, "__len__")), ""
    ):
        raise UsageError(f"column {single!r} of the sample is a single value, not rows", hint=HINT)
    lengths = {len(column) for _, column in named}
    if not lengths or lengths == {0}:
        raise UsageError("the sample has no rows", hint=HINT)
    if len(lengths) > 1:
        raise UsageError("the columns of the sample have different lengths", hint=HINT)
    names = [str(label) for label, _ in named]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(
            f"the sample has two columns named {twice!r}, so a request could not tell them apart",
            hint="rename one of them before the model is trained",
        )
    rows = _chosen(named, lengths.pop())
    arrays: Arrays = {}
    features: list[Feature] = []
    for name, (label, column) in zip(names, named, strict=True):
        arrays[name], feature = read_column(name, column, rows)
        if type(label) is int:
            feature = msgspec.structs.replace(feature, label=label)
        features.append(feature)
    return Sample(
        arrays=arrays,
        table=True,
        native=_picked(sample, rows) if hasattr(sample, "shape") else None,
        features=tuple(feature for feature in features if feature != Feature(name=feature.name)),
        library=_library(sample),
    )


def _read_array(sample: Any) -> Sample:
    """Read a sample without named columns. Raises UsageError."""
    nullable = (
        hasattr(sample, "toarray") and sample.dtype.kind == "f" and bool((sample.data != sample.data).any())
    )
    array = _as_array(_dense(sample))
    if array.ndim == 0:
        raise UsageError("the sample is a single value, not rows", hint=HINT)
    if not len(array):
        raise UsageError("the sample has no rows", hint=HINT)
    per_row = max(1, array[:1].size)
    rows = list(range(min(len(array), max(1, min(MAX_ROWS, _MAX_VALUES // per_row)))))
    read, feature = read_array("input", array, rows)
    if feature.kind:
        raise UsageError(
            f"the sample holds values of type {array.dtype}, and has no names for its columns",
            hint="give dates and times in the columns of a table",
        )
    feature = Feature(name="input", nullable=feature.nullable or nullable)
    return Sample(
        arrays={"input": read}, table=False, native=read, features=(feature,) * feature.nullable, library=""
    )


def encode_samples(inputs: Arrays, outputs: Arrays) -> bytes:
    """Write inputs and outputs, all with the same number of rows, as JSON."""
    content = {
        side: {name: _write(array) for name, array in arrays.items()}
        for side, arrays in (("inputs", inputs), ("outputs", outputs))
    }
    return plain.Writer().encode(content)


def decode_samples(data: bytes) -> tuple[Arrays, Arrays]:
    """Return the inputs and the outputs. Raises SerializationError."""
    content: Any = plain.Reader(importing=False).decode(data)
    try:
        inputs, outputs = (
            {name: _read(tensor) for name, tensor in content[side].items()} for side in ("inputs", "outputs")
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SerializationError(f"stored samples cannot be read: {error}") from error
    return inputs, outputs


def _write(array: Any) -> dict[str, object]:
    """Return an array in the terms of the protocol."""
    return {
        "datatype": datatype_of(array),
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
    }


def _read(tensor: dict[str, Any]) -> Any:
    """Return the array that was written in the terms of the protocol."""
    np = load("numpy")
    array = np.empty(len(tensor["data"]), dtype=dtype_of(tensor["datatype"]))
    array[:] = tensor["data"]
    return array.reshape(tensor["shape"])


def _from_dicts(sample: Any) -> Any:
    """Return the columns of a list of dicts, and anything else as it is. Raises UsageError."""
    if type(sample) is not list:
        return sample
    rows = cast(list[Any], sample)
    if not rows or not all(type(row) is dict for row in rows):
        return rows
    names = list(rows[0])
    if any(row.keys() != rows[0].keys() for row in rows):
        raise UsageError("the rows of the sample do not all have the same fields", hint=HINT)
    return {name: [row[name] for row in rows] for name in names}


def _columns(sample: Any) -> list[tuple[Any, Any]] | None:
    """Return the labels and columns of a table, including two columns with one name. Other values give None."""
    if isinstance(sample, dict):
        given = cast("dict[Any, Any]", sample)
        return [(label, given[label]) for label in given]
    library, name = type(sample).__module__.partition(".")[0], type(sample).__name__
    if library == "pandas" and name == "DataFrame":
        return [(label, sample.iloc[:, place]) for place, label in enumerate(sample.columns)]
    if library == "polars" and name == "DataFrame":
        return [(label, sample[label]) for label in sample.columns]
    if library == "pyarrow" and name in ("Table", "RecordBatch"):
        return [(label, _of_arrow(sample.column(place))) for place, label in enumerate(sample.schema.names)]
    return None


def _of_arrow(column: Any) -> Any:
    """Convert a column of Arrow to one of pandas or polars, which keep dates and categories apart from text."""
    try:
        load("pandas")
    except ImportError:
        return load("polars").from_arrow(column)
    return column.to_pandas()


def _library(sample: Any) -> str:
    """Return the table library of a sample, or an empty text."""
    library = type(sample).__module__.partition(".")[0]
    return library if library in ("pandas", "polars") else ""


def _chosen(named: list[tuple[Any, Any]], count: int) -> list[int]:
    """Choose the rows to keep, by number.

    These are the first rows. The last of them give way to rows in which values of other columns are missing.
    """
    first = list(range(min(count, MAX_ROWS)))
    if count <= MAX_ROWS:
        return first
    late: list[int] = []
    for _, column in named:
        missing = _missing_rows(column)
        if missing is not None and not missing[:MAX_ROWS].any() and missing.any():
            late.append(int(missing.argmax()))
    kept = sorted(set(late))[: MAX_ROWS // 2]
    return first[: MAX_ROWS - len(kept)] + kept


def _missing_rows(column: Any) -> Any:
    """Return the rows without a value in a column of pandas or polars. Other columns give None."""
    if hasattr(column, "isna"):
        return column.isna().to_numpy()
    return column.is_null().to_numpy() if hasattr(column, "is_null") else None


def _picked(sample: Any, rows: list[int]) -> Any:
    """Return these rows of a table in the form that the user gave."""
    if hasattr(sample, "iloc"):
        return sample.iloc[rows]
    return sample.take(rows) if hasattr(sample, "take") else sample[rows]


def _dense(sample: Any) -> Any:
    """Return sparse matrices and tensors in a form that numpy takes."""
    if hasattr(sample, "toarray"):
        whole = sample if hasattr(sample, "__getitem__") else sample.tocsr()
        return whole[:MAX_ROWS].toarray()
    return sample.detach().cpu().numpy() if hasattr(sample, "detach") else sample


def _as_array(sample: Any) -> Any:
    """Convert a sample to an array. Raises UsageError."""
    np = load("numpy")
    try:
        array = np.asarray(sample.to_numpy() if hasattr(sample, "to_numpy") else sample)
    except ValueError as error:
        raise UsageError(f"the sample cannot be made an array: {error}", hint=HINT) from error
    return array
