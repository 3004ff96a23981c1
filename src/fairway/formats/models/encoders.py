"""The values that the encoders inside a scikit-learn model were trained on, by the column that they encode.

This module knows the shape of pipelines, of column transformers, and of objects that behave like them. Its findings
are proposals: its caller asks the model itself.
"""

from collections.abc import Sequence
from typing import Any, cast

_KEEPING = frozenset({"SimpleImputer"})
"""Parts that change only the missing values of a column."""


def refuses_unknown(model: Any) -> bool:
    """Tell whether a part of the model is set to fail on a value that it was not trained on."""
    parameters: dict[str, Any] = model.get_params(deep=True) if hasattr(model, "get_params") else {}
    return any(
        name.rpartition("__")[2] == "handle_unknown" and value == "error"
        for name, value in parameters.items()
        if isinstance(value, str)
    )


def trained_on(model: Any, columns: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values of each encoded column as JSON values, without missing ones."""
    found: dict[str, tuple[Any, ...]] = {}
    _collect(model, list(columns), found)
    return found


def _collect(part: Any, columns: list[str], found: dict[str, tuple[Any, ...]]) -> None:
    """Collect the values of the encoders in a part that takes these columns."""
    for _, step in _listed(part, "steps"):
        if type(step).__name__ not in _KEEPING and not isinstance(step, str):
            _collect(step, columns, found)
            break  # the next steps see other columns and values
    for _, step, chosen in _listed(part, "transformers_"):
        names = _chosen(chosen, columns)
        if names:
            _collect(step, names, found)
    for inner in ("best_estimator_", "estimator_"):
        if hasattr(part, inner):
            _collect(getattr(part, inner), columns, found)
    categories = _listed(part, "categories_")
    if len(categories) != len(columns):
        return
    for name, values in zip(columns, categories, strict=True):
        plain = [value.item() if hasattr(value, "item") else value for value in values]
        present = tuple(value for value in plain if value is not None and value == value)
        if all(isinstance(value, str | int | float) for value in present):
            found.setdefault(name, present)


def _listed(part: Any, name: str) -> list[Any]:
    """Return an attribute that is a list, or an empty list."""
    value = getattr(part, name, None)
    return cast("list[Any]", value) if isinstance(value, list) else []


def _chosen(chosen: Any, columns: list[str]) -> list[str]:
    """Return the names of the columns that a part of a column transformer takes.

    The list is empty when they are not plain.
    """
    if isinstance(chosen, str | int):
        items: list[Any] = [chosen]
    else:
        items = cast("list[Any]", chosen.tolist() if hasattr(chosen, "tolist") else chosen)
    if not isinstance(items, list):  # pyright: ignore[reportUnnecessaryIsInstance]
        return []  # such as a slice
    if all(isinstance(item, str) and item in columns for item in items):
        return list(items)
    if all(type(item) is int and -len(columns) <= item < len(columns) for item in items):
        return [columns[item] for item in items]
    return []
