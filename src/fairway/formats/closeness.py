"""The distance of two values: whether their numbers are equal within a tolerance, and the rest is the same.

Values are compared by their structure. No framework is imported that their own decoding has not loaded.
"""

import math
from typing import Any, cast

import msgspec

FAR = math.inf
"""The distance of values that differ in more than their numbers."""


def distance(one: object, other: object) -> float:
    """Return the largest relative difference of two numbers at the same place. `FAR` stands for any other difference."""
    try:
        return _distance(one, other)
    except (TypeError, ValueError, RecursionError):
        return FAR


def place(one: object, other: object) -> str:
    """Return where two values differ first, such as "candidate.samples.digest". Empty if a name leads to no place within them."""
    left, right = _named(one), _named(other)
    if type(one) is not type(other) or left.keys() != right.keys():
        return ""
    for name, value in left.items():
        if distance(value, right[name]):
            inner = place(value, right[name])
            return f"{name}.{inner}" if inner else str(name)
    return ""


def _named(value: object) -> dict[object, object]:
    """Return the parts of a value that have names."""
    if isinstance(value, msgspec.Struct):
        return cast("dict[object, object]", msgspec.structs.asdict(value))
    return cast("dict[object, object]", value) if isinstance(value, dict) else {}


def _distance(one: object, other: object) -> float:
    if isinstance(one, bool) or isinstance(other, bool):
        return 0.0 if one is other else FAR
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _of_numbers(float(one), float(other))
    if type(one) is not type(other):
        return FAR
    if isinstance(one, msgspec.Struct):
        return _distance(msgspec.structs.asdict(one), msgspec.structs.asdict(cast("msgspec.Struct", other)))
    if isinstance(one, dict):
        return _of_dicts(cast("dict[object, object]", one), cast("dict[object, object]", other))
    if isinstance(one, list | tuple):
        items, others = cast("list[object]", one), cast("list[object]", other)
        if len(items) != len(others):
            return FAR
        return max((_distance(*pair) for pair in zip(items, others, strict=True)), default=0.0)
    if hasattr(one, "columns") and hasattr(one, "dtypes"):
        return _of_tables(one, other)
    if hasattr(one, "dtype") and hasattr(one, "shape"):
        return _of_arrays(one, other)
    return 0.0 if one == other else FAR


def _of_numbers(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return FAR
    return abs(one - other) / max(abs(one), abs(other), 1.0)


def _of_dicts(one: dict[object, object], other: dict[object, object]) -> float:
    if one.keys() != other.keys():
        return FAR
    return max((_distance(value, other[key]) for key, value in one.items()), default=0.0)


def _of_tables(one: Any, other: Any) -> float:
    if list(one.columns) != list(other.columns) or len(one) != len(other):
        return FAR
    if hasattr(one, "index") and list(one.index) != list(other.index):
        return FAR
    return max(
        (_of_arrays(one[name].to_numpy(), other[name].to_numpy()) for name in one.columns), default=0.0
    )


def _of_arrays(one: Any, other: Any) -> float:
    if one.shape != other.shape or one.dtype != other.dtype:
        return FAR
    import numpy as np

    left, right = np.asarray(one), np.asarray(other)
    if left.dtype.kind not in "fciu":
        return _distance(left.tolist(), right.tolist())
    if left.dtype.kind in "iu":
        left, right = left.astype(float), right.astype(float)
    known = np.isfinite(left)
    if not np.array_equal(known, np.isfinite(right)) or not np.array_equal(
        left[~known], right[~known], equal_nan=True
    ):
        return FAR
    if not known.any():
        return 0.0
    left, right = left[known], right[known]
    scale = np.maximum(np.maximum(np.abs(left), np.abs(right)), 1.0)
    return float((np.abs(left - right) / scale).max())
