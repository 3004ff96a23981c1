"""The conversion of values that people have (lists, Series, tensors, frames) to checked numpy arrays.

This is the one module that imports numpy, when one of its attributes is used for the first time. It does not know
what the arrays are for. Messages call them by the name that the caller gives.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, NoReturn, cast

from fairway.spec.errors import FairwayError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Column = NDArray[np.bool_] | NDArray[np.int64] | NDArray[np.float64] | NDArray[np.object_]
else:

    class _Numpy:
        """numpy, imported when its first attribute is used."""

        def __getattr__(self, name: str) -> object:
            try:
                module = importlib.import_module("numpy")
            except ModuleNotFoundError as error:
                raise FairwayError(
                    "evaluating needs numpy, which is not installed", hint="`pip install numpy`"
                ) from error
            return getattr(module, name)

    np = _Numpy()

_INTEGER_LIMIT = 2**63


def column(values: object, name: str) -> Column:
    """Return one value per row, shape (n,) with n ≥ 1: bool, int64, finite float64, or objects that are all str.

    A second dimension of size one is dropped.

    Raises:
        FairwayError: the values are anything else. The message has `name` and, for missing or infinite values, the
            first such row, counted from 0.
    """
    array = _flat(_array(values, name), name)
    if array.dtype.kind == "O":
        array = _plain_objects(array, name)
    if array.dtype.kind == "u" and array.size and int(array.max()) >= _INTEGER_LIMIT:
        raise FairwayError(
            f"{name} holds whole numbers beyond 64 bits", hint=f"make {name} text, or smaller numbers"
        )
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        return cast("Column", finite(array.astype(np.float64), name))
    if array.dtype.kind in "bO":
        return cast("Column", array)
    raise FairwayError(
        f"{name} holds values of type {array.dtype}, which cannot be compared as classes or numbers",
        hint=f"make {name} numbers, text or booleans",
    )


def numbers(values: object, name: str) -> NDArray[np.float64]:
    """Return one finite number per row as float64, shape (n,). Booleans become 0 and 1. Raises FairwayError."""
    array = column(values, name)
    if array.dtype.kind == "O":
        raise FairwayError(f"{name} holds text where numbers are needed", hint=f"pass the numbers of {name}")
    return array.astype(np.float64)


def matrix(values: object, name: str) -> Floats:
    """Return finite numbers of shape (n,) or (n, k) with n ≥ 1. Raises FairwayError.

    float32 stays float32, and other types become float64.
    """
    array = _array(values, name)
    hint = f"pass {name} with shape (rows,) or (rows, columns)"
    if not array.size:
        raise FairwayError(f"{name} is empty", hint=hint)
    if array.dtype.kind == "O":
        array = _plain_rows(array, name)
    if array.dtype.kind not in "biuf":
        _refuse_table(name)
    if array.ndim not in (1, 2):
        raise FairwayError(f"{name} has {array.ndim} dimensions, not one or two", hint=hint)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return finite(cast("Floats", array) if array.dtype == np.float32 else array.astype(np.float64), name)


def finite(array: Floats, name: str) -> Floats:
    """Return the array itself. Raises FairwayError when one of its numbers is NaN or infinite."""
    good = np.isfinite(array)
    if not good.all():
        row = int(np.argwhere(~good)[0][0])
        missing = bool(np.isnan(array[row]).any())
        _refuse_missing(name, row) if missing else _refuse_infinite(name, row)
    return array


def same_length(first: tuple[str, int], *others: tuple[str, int]) -> None:
    """Check that all the (name, rows) pairs have the same number of rows. Raises FairwayError."""
    for name, rows in others:
        if rows != first[1]:
            raise FairwayError(
                f"{first[0]} has {first[1]:,} rows and {name} has {rows:,}",
                hint="pass one value for each row of the same data, in the same order",
            )


def _refuse_missing(name: str, row: int) -> None:
    """Raise FairwayError for a missing value."""
    raise FairwayError(f"{name} holds a missing value in row {row}", hint="drop or fill missing values first")


def _refuse_infinite(name: str, row: int) -> None:
    """Raise FairwayError for an infinite number."""
    raise FairwayError(f"{name} holds an infinite number in row {row}", hint="look for a division by zero")


def _refuse_table(name: str) -> NoReturn:
    """Raise FairwayError for values that are no table of numbers."""
    hint = f"pass {name} as numbers of shape (rows, columns)"
    raise FairwayError(f"{name} is not a table of numbers", hint=hint)


def _refuse_masked(values: object, name: str) -> None:
    """Raise FairwayError for a masked array with a hidden value."""
    if isinstance(values, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(cast("np.ma.MaskedArray[tuple[int, ...], np.dtype[np.generic]]", values))
        if hidden.any():
            _refuse_missing(name, int(np.argwhere(hidden)[0][0]))


def _array(values: object, name: str) -> NDArray[np.generic]:
    """Convert values to an array of any shape. Raises FairwayError."""
    kind = type(values).__name__
    hint = f"pass {name} as a list, an array or a Series with one value per row"
    if values is None or isinstance(values, (str, bytes, dict, set, frozenset)):
        raise FairwayError(f"{name} is a {kind}, not one value per row", hint=hint)
    _refuse_masked(values, name)
    if hasattr(values, "__array__"):
        try:
            return np.asarray(cast("list[object]", values))
        except (TypeError, ValueError, RuntimeError) as error:
            raise FairwayError(f"{name} cannot be read as an array: {error}", hint=hint) from error
    if not isinstance(values, Iterable):
        raise FairwayError(f"{name} is a {kind}, not one value per row", hint=hint)
    items = list(cast("Iterable[object]", values))
    # numpy would turn a list with one text into texts altogether, so each item stays an object for now.
    array = np.empty(len(items), dtype=np.object_)
    for row, item in enumerate(items):
        array[row] = item
    return array


def _flat(array: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Return the array with one dimension, and text as objects. Raises FairwayError."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = f"pass one column; for one column per class, pass {name}.argmax(axis=1)"
        raise FairwayError(f"{name} has shape {array.shape}, not one value per row", hint=hint)
    if not array.size:
        raise FairwayError(f"{name} is empty", hint="pass at least one row")
    if array.dtype.kind in "UT":
        return array.astype(np.object_)
    return array


def _plain_rows(array: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Convert rows that are lists of numbers to an array. Raises FairwayError."""
    rows = cast("list[object]", array.tolist())
    if not any(isinstance(row, Iterable) and not isinstance(row, str) for row in rows):
        return numbers(array, name)
    try:
        return np.array([list(cast("Iterable[float]", row)) for row in rows], dtype=np.float64)
    except (TypeError, ValueError):
        _refuse_table(name)


def _plain_objects(array: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Convert objects of one kind to an array of text, booleans, int64 or float64. Raises FairwayError."""
    items = cast("list[object]", array.tolist())
    for row, item in enumerate(items):
        if _is_missing(item):
            _refuse_missing(name, row)
    if all(isinstance(item, str) for item in items):
        return _text(items, name)
    if all(isinstance(item, (bool, np.bool_)) for item in items):
        return np.array(items, dtype=np.bool_)
    try:
        if all(isinstance(item, (Integral, np.bool_)) for item in items):
            return np.array([int(cast("int", item)) for item in items], dtype=np.int64)
        if all(isinstance(item, (Real, Decimal, np.bool_)) for item in items):
            return np.array([float(cast("float", item)) for item in items], dtype=np.float64)
    except OverflowError as error:
        raise FairwayError(f"{name} holds numbers that are too large", hint=f"make {name} text") from error
    kinds = sorted({type(item).__name__ for item in items})
    if len(kinds) > 1:
        raise FairwayError(
            f"{name} mixes {' and '.join(kinds)}", hint=f"make all values of {name} of one type"
        )
    hint = f"make {name} one number, text or boolean per row"
    raise FairwayError(f"{name} holds values of type {kinds[0]}, not one class or number per row", hint=hint)


def _text(items: list[object], name: str) -> NDArray[np.generic]:
    """Return an array of texts, in which equal texts are one object. Raises FairwayError for invalid Unicode."""
    array = np.empty(len(items), dtype=np.object_)
    known: dict[str, str] = {}
    for row, item in enumerate(items):
        text = str(item)
        array[row] = known.setdefault(text, text)
    try:
        "".join(known).encode()
    except UnicodeEncodeError as error:
        raise FairwayError(
            f"{name} holds text that is not valid Unicode", hint=f"decode {name} again"
        ) from error
    return array


def _is_missing(item: object) -> bool:
    """Tell whether a value is None, NaN or the missing value of a table library."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, (Real, Decimal)) and item != item
