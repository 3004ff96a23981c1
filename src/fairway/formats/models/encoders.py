"""Which values the encoders inside a scikit-learn model were trained on, by the column that they encode.

Knows the shape of pipelines and column transformers, and of whatever behaves like them. What it finds is a proposal:
whoever uses it asks the model.
"""

from collections.abc import Sequence
from typing import Any, cast

_KEEPING = frozenset({"SimpleImputer"})
"""Parts that leave the values of a column as they are, but for missing ones."""


def refuses_unknown(model: Any) -> bool:
    """Whether a part of the model is set to fail on a value that it was not trained on."""
    parameters: dict[str, Any] = model.get_params(deep=True) if hasattr(model, "get_params") else {}
    return any(
        name.rpartition("__")[2] == "handle_unknown" and value == "error"
        for name, value in parameters.items()
        if isinstance(value, str)
    )


def trained_on(model: Any, columns: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The values of each encoded column as JSON values, missing ones left out."""
    found: dict[str, tuple[Any, ...]] = {}
    _collect(model, list(columns), found)
    return found


def _collect(part: Any, columns: list[str], found: dict[str, tuple[Any, ...]]) -> None:
    for _, step in _listed(part, "steps"):
        if type(step).__name__ not in _KEEPING and not isinstance(step, str):
            _collect(step, columns, found)  # behind it, columns and values are others
            break
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
    value = getattr(part, name, None)
    return cast("list[Any]", value) if isinstance(value, list) else []


def _chosen(chosen: Any, columns: list[str]) -> list[str]:
    """Names of the columns that a part of a column transformer takes; empty where that is not plain to see."""
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
