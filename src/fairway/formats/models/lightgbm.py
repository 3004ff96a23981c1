"""LightGBM models: how they predict, and how they are compiled to ONNX.

This module knows other libraries only by the scikit-learn interface of the wrappers.
"""

import functools
from collections.abc import Sequence
from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import boosters, sklearn
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Signature


def is_booster(model: Any) -> bool:
    """Tell whether a model is a bare Booster and not a wrapper."""
    return type(model).__name__ == "Booster"


def predict(model: Any, data: Any) -> Arrays:
    """Return the raw prediction of a Booster, or the outputs of a wrapper as scikit-learn gives them."""
    return (
        {"prediction": load("numpy").asarray(model.predict(data))}
        if is_booster(model)
        else sklearn.predict(model, data)
    )


def categories(model: Any, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the categories of these columns, if the model has no other columns of categories.

    LightGBM keeps categories in order, without the names of their columns.
    """
    booster = model if is_booster(model) else model.booster_
    kept: list[list[str]] = booster.pandas_categorical or []
    return dict(zip(columns, map(tuple, kept), strict=True)) if len(kept) == len(columns) else {}


def convert(model: Any, signature: Signature, types: dict[str, str]) -> bytes:
    """Return the model as ONNX. Raises any error of the converter."""
    change = load("onnxmltools").convert_lightgbm
    bare = is_booster(model)
    binary = bare and str(
        model.params.get("objective", model.dump_model(0, 0).get("objective", ""))
    ).startswith("binary")
    return boosters.convert(
        model,
        signature,
        functools.partial(change, zipmap=False),
        bare=bare,
        binary=binary,
    )
