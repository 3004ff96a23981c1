"""Rows of a request as arrays, and arrays of an answer as rows. Rows are the JSON that a person sends and reads.

Every refusal names the row, the field and the type. This module knows neither models nor protocols.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, cast

from fairway.formats.frameworks import load
from fairway.formats.models.features import check_features
from fairway.formats.models.moments import wanted
from fairway.formats.models.nesting import flat
from fairway.formats.models.samples import Arrays, dtype_of
from fairway.spec.errors import UsageError
from fairway.spec.model import Signature, TensorSpec

Row = Any
"""A row of a request: a JSON object by column name, an array by position, or one value for a single feature."""

_NUMBER: frozenset[type] = frozenset({int, float, bool})
_WHOLE: frozenset[type] = frozenset({int})
_TEXT: frozenset[type] = frozenset({str})
_TRUTH: frozenset[type] = frozenset({bool})
_ROWS: frozenset[type] = frozenset({dict, list})
_NULLABLE = ("FP16", "FP32", "FP64", "BYTES")
_WORDS = {"BOOL": "true or false", "BYTES": "text"}


def nullable_columns(signature: Signature, inputs: Arrays) -> frozenset[str]:
    """Return the names of the columns (or inputs) with missing values in the sample.

    Requests may have missing values in the same columns.

    Args:
        signature: the signature, which describes the whole sample.
        inputs: the rows of the sample that were kept.
    """
    found = {feature.name for feature in signature.features if feature.nullable}
    for spec in signature.inputs:
        missing = _missing(inputs[spec.name])
        if spec.name == "input" and signature.layout == "tensor" and signature.columns:
            found.update(name for place, name in enumerate(signature.columns) if missing[:, place].any())
        elif missing.any():
            found.add(spec.name)
    return frozenset(found)


def refuse_missing(signature: Signature, inputs: Arrays, nullable: frozenset[str] = frozenset()) -> None:
    """Refuse NaN and missing text in columns whose sample had none. Raises UsageError that names row and field."""
    for spec in signature.inputs:
        array = inputs[spec.name]
        if array.dtype.kind not in "fO" or spec.name in nullable:
            continue
        missing = _missing(array)
        if not missing.any():
            continue
        places: list[list[int]] = load("numpy").argwhere(missing).tolist()
        for place in places:
            name = (
                signature.columns[place[1]]
                if signature.layout == "tensor" and signature.columns
                else spec.name
            )
            if name not in nullable:
                raise UsageError(
                    f"row {place[0]}: field {name!r} is missing (NaN)",
                    hint="send a number; only columns with missing values in the model's sample take them",
                )


def rows_to_inputs(signature: Signature, rows: list[Row], nullable: frozenset[str] = frozenset()) -> Arrays:
    """Convert rows to the arrays that a predictor takes.

    Args:
        signature: the model's signature.
        rows: one entry for each row, all of one form.
        nullable: names of columns that may be null, as `nullable_columns` returns them.

    Raises:
        UsageError: a field is missing, unknown, of a wrong type, or null where it may not be.
    """
    if not isinstance(rows, list) or not rows:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("a request needs a list of at least one row")
    if signature.layout == "tensor" and (not signature.columns or len(signature.inputs[0].shape) != 2):
        return {signature.inputs[0].name: _tensor(signature.inputs[0], rows, nullable)}
    names = signature.columns or tuple(spec.name for spec in signature.inputs)
    cells = _cells(names, rows)
    if signature.layout == "tensor":
        spec = signature.inputs[0]
        flat = [cell for row in cells for cell in row]
        array = _column(spec, flat, names, nullable)
        return {spec.name: array.reshape(len(rows), len(names))}
    kinds = {feature.name: feature for feature in signature.features if feature.kind}
    made: Arrays = {}
    for place, spec in enumerate(signature.inputs):
        column = [row[place] for row in cells]
        if len(spec.shape) > 1:
            made[spec.name] = _tensor(spec, column, nullable)
            continue
        try:
            made[spec.name] = _column(spec, column, (names[place],), nullable)
        except UsageError as error:
            feature = kinds.get(spec.name)
            if feature is None or feature.kind == "category":
                raise
            raise UsageError(error.message.replace("text", wanted(feature), 1), hint=error.hint) from None
    return check_features(signature, made)


def outputs_to_rows(signature: Signature, outputs: Arrays) -> list[Any]:
    """Convert outputs to one entry for each row: the prediction, or an object by output name.

    Probabilities are objects by class.
    """
    columns: dict[str, list[Any]] = {}
    labels = [label if isinstance(label, str) else str(label) for label in signature.classes]
    for name, array in outputs.items():
        values = array.tolist()
        if name == "probabilities" and labels and array.ndim == 2 and array.shape[1] == len(labels):
            values = [dict(zip(labels, row, strict=True)) for row in values]
        columns[name] = values
    if len(columns) == 1:
        return next(iter(columns.values()))
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _cells(names: tuple[str, ...], rows: list[Row]) -> list[Any]:
    """Return the cells of each row in the order of the columns. Raises UsageError."""
    count = len(names)
    pick = cast(Callable[[Any], Any], itemgetter(*names))
    cells: list[Any] = []
    for at, row in enumerate(rows):
        size = len(row) if type(row) in _ROWS else 0
        if type(row) is dict:
            try:
                picked = pick(row)
            except KeyError:
                raise _fields_differ(at, row, names) from None
            if size != count:
                raise _fields_differ(at, row, names)
            cells.append(picked if count > 1 else (picked,))
        elif type(row) is list:
            if size != count:
                raise UsageError(
                    f"row {at}: has {size} values instead of {count}", hint=f"the fields are {_list(names)}"
                )
            cells.append(row)
        elif count == 1:
            cells.append((row,))
        else:
            raise UsageError(
                f"row {at}: is a single value, but the model takes {count} fields",
                hint=f"send objects with the fields {_list(names)}",
            )
    return cells


def _fields_differ(at: int, row: Any, names: tuple[str, ...]) -> UsageError:
    """Return the error for a row with a missing or unknown field."""
    hint = f"the fields are {_list(names)}"
    missing = [name for name in names if name not in row]
    if missing:
        return UsageError(f"row {at}: field {missing[0]!r} is missing", hint=hint)
    extra = next(name for name in row if name not in names)
    return UsageError(f"row {at}: field {extra!r} is not known to the model", hint=hint)


def _column(spec: TensorSpec, cells: list[Any], names: tuple[str, ...], nullable: frozenset[str]) -> Any:
    """Return cells, given row by row over the named fields, as a flat array. Raises UsageError."""
    kind = spec.datatype
    accepted = _accepted(kind)
    # One look at the types passes a good request; the cells are gone through only for the message, or for nulls.
    if not set(map(type, cells)) <= accepted:
        for at, cell in enumerate(cells):
            row, name = at // len(names), names[at % len(names)]
            if type(cell) in accepted or (cell is None and kind in _NULLABLE and name in nullable):
                continue
            if not (accepted is _WHOLE and type(cell) is float and cell.is_integer()):
                raise _wrong(row, name, kind, cell)
        if accepted is _WHOLE:
            cells = [int(cell) for cell in cells]
    array = load("numpy").empty(len(cells), dtype=dtype_of(kind))
    try:
        array[:] = cells
        _check_finite(array)
    except (OverflowError, ValueError) as error:
        at = max(range(len(cells)), key=lambda at: abs(cells[at] or 0))
        row, name = at // len(names), names[at % len(names)]
        raise UsageError(f"row {row}: field {name!r} is out of the range of {kind}") from error
    return array


def _check_finite(array: Any) -> None:
    """Refuse numbers that became infinite in a narrower type, because JSON has no infinity. Raises OverflowError."""
    if array.dtype.kind == "f" and array.dtype.itemsize < 8 and load("numpy").isinf(array).any():
        raise OverflowError


def _accepted(kind: str) -> frozenset[type]:
    """Return the types of Python that an element type accepts."""
    if kind[:2] == "FP":
        return _NUMBER
    return {"BYTES": _TEXT, "BOOL": _TRUTH}.get(kind, _WHOLE)


def _wrong(row: int, name: str, kind: str, cell: object) -> UsageError:
    """Return the error for a cell of the wrong type."""
    wanted = _WORDS.get(kind) or ("a number" if kind[:2] == "FP" else "a whole number")
    got = "null" if cell is None else repr(cell)[:40]
    return UsageError(
        f"row {row}: field {name!r} needs {wanted} ({kind}), not {got}",
        hint="only columns with missing values in the model's sample take null" if cell is None else "",
    )


def _tensor(spec: TensorSpec, rows: list[Any], nullable: frozenset[str]) -> Any:
    """Return rows of any shape as one array. Raises UsageError."""
    np = load("numpy")
    shape = spec.shape[1:]
    wanted = f"{spec.datatype} of shape {list(shape)}" if shape else spec.datatype
    if not shape:
        cells: list[Any] = [row[0] if _shape(row) == (1,) else row for row in rows]
        return _column(spec, cells, (spec.name,), nullable)
    if shape == (1,) and not isinstance(rows[0], list):
        rows = [[row] for row in rows]
    try:
        cells, found = flat(rows)
    except ValueError:
        cells, found = [], ()
    if len(found) != len(spec.shape):
        at = next((at for at, row in enumerate(rows) if _shape(row) != _shape(rows[0])), 0)
        raise UsageError(f"row {at}: has the shape {list(_shape(rows[at]))}; the model takes {wanted}")
    if any(size not in (-1, have) for size, have in zip(shape, found[1:], strict=True)):
        raise UsageError(f"row 0: has the shape {list(found[1:])}; the model takes {wanted}")
    accepted = _accepted(spec.datatype)
    types = set(map(type, cells))
    if type(None) in types and spec.name in nullable and accepted is _NUMBER:
        cells = [float("nan") if cell is None else cell for cell in cells]
        types.discard(type(None))
    if (
        accepted is _WHOLE
        and float in types
        and all(cell.is_integer() for cell in cells if type(cell) is float)
    ):
        cells = [int(cell) if type(cell) is float else cell for cell in cells]
        types.discard(float)
    if not types <= accepted:
        raise UsageError(f"row 0: holds values that are not {wanted}")
    array = np.empty(len(cells), dtype=dtype_of(spec.datatype))
    try:
        array[:] = cells
        _check_finite(array)
    except (OverflowError, ValueError) as error:
        raise UsageError(f"row 0: holds a number that is out of the range of {spec.datatype}") from error
    return array.reshape(found)


def _shape(row: Any) -> tuple[int, ...]:
    """Return the shape of a nested list, as its first items show it."""
    return (len(row), *_shape(row[0])) if isinstance(row, list) and row else ()  # pyright: ignore


def _list(names: tuple[str, ...]) -> str:
    """Return the names for a message, at most twelve of them."""
    shown = ", ".join(repr(name) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown}, … ({len(names)} in all)"


def _missing(array: Any) -> Any:
    """Return the places of missing values."""
    np = load("numpy")
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind == "O":
        return np.equal(array, None)
    return np.zeros(array.shape, dtype=bool)
