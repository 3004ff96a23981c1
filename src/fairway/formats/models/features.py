"""Checks of the values of a request that go beyond the element types of the columns.

Dates and times get the form in which they are stored. Unknown categories are refused when the model fails on them.
This module knows no protocol: rows and tensors arrive here as arrays.
"""

import functools
from collections.abc import Callable
from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import moments
from fairway.formats.models.samples import Arrays
from fairway.spec.errors import UsageError
from fairway.spec.model import Feature, Signature

_WHOLE = ("Int", "UInt", "object, whole")
_SHOWN = 8

Check = Callable[[Any], Any]
"""A function that returns the array to use. Raises UsageError."""


def check_features(signature: Signature, inputs: Arrays) -> Arrays:
    """Check every column that needs it, and return the inputs to use.

    Raises:
        UsageError: a value does not fit. The error names the row and the field.
    """
    if not signature.features or signature.layout == "tensor":
        return inputs
    checks = _checks(signature.features)
    return {name: checks[name](array) if name in checks else array for name, array in inputs.items()}


@functools.lru_cache(maxsize=64)
def _checks(features: tuple[Feature, ...]) -> dict[str, Check]:
    """Return the check of each column that needs one."""
    checks: dict[str, Check] = {}
    for feature in features:
        check = _check(feature)
        if check is not None:
            checks[feature.name] = check
    return checks


def _check(feature: Feature) -> Check | None:
    """Return the check of a column, or None when it needs none."""
    if feature.unknown == "refused":
        return _member(feature)
    if feature.kind == "category":
        return None
    if feature.kind:
        return _moment(feature)
    if feature.dtype.startswith(_WHOLE):
        return lambda array: _whole(feature.name, array)
    if feature.dtype in ("boolean", "Boolean", "object, truth"):
        return lambda array: _truth(feature.name, array)
    return None


def _moment(feature: Feature) -> Check:
    """Return a check that brings dates, times and durations to their stored form."""
    write = moments.canonical(feature)

    def check(array: Any) -> Any:
        out = array.copy()
        for row, text in enumerate(array.tolist()):
            if text is None:
                continue
            try:
                out[row] = write(text)
            except (ValueError, OverflowError) as error:
                # Errors of `moments` are sentences for users; those of Python's own parsers are not.
                own = str(error).startswith(("it ", "nanoseconds "))
                reason = f": {error}" if own else ""
                raise UsageError(
                    f"row {row}: field {feature.name!r} needs {moments.wanted(feature)} (BYTES), not {text[:40]!r}{reason}"
                ) from None
        return out

    return check


def _member(feature: Feature) -> Check:
    """Return a check that refuses values outside the known categories."""
    known = set(feature.categories)
    shown = ", ".join(map(repr, feature.categories[:_SHOWN]))
    more = f", … ({len(known)} in all)" if len(known) > _SHOWN else ""

    def check(array: Any) -> Any:
        for row, cell in enumerate(array.tolist()):
            if cell is not None and cell == cell and cell not in known:
                raise UsageError(
                    f"row {row}: field {feature.name!r} must be one of {shown}{more}, not {str(cell)[:40]!r}",
                    hint="the model was trained on these values and fails on others",
                )
        return array

    return check


def _whole(name: str, array: Any) -> Any:
    """Refuse numbers that are not whole."""
    np = load("numpy")
    if array.dtype.kind != "f":
        return array
    wrong = ~np.isnan(array) & ((array != np.floor(array)) | np.isinf(array))
    return _refuse(name, array, wrong, "a whole number")


def _truth(name: str, array: Any) -> Any:
    """Refuse numbers other than 0 and 1."""
    np = load("numpy")
    if array.dtype.kind != "f":
        return array
    return _refuse(name, array, ~np.isnan(array) & (array != 0) & (array != 1), "true or false")


def _refuse(name: str, array: Any, wrong: Any, wanted: str) -> Any:
    """Return the array if no value is wrong. Raises UsageError that names the first wrong one."""
    if wrong.any():
        row = int(wrong.argmax())
        raise UsageError(f"row {row}: field {name!r} needs {wanted}, not {array[row].item()!r}")
    return array
