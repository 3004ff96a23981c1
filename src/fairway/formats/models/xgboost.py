"""XGBoost models: how they predict, and how they are compiled to ONNX.

This module knows other libraries only by the scikit-learn interface of the wrappers.
"""

import copy
import json
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
    """Return the prediction of a Booster, or the outputs of a wrapper as scikit-learn gives them."""
    if not is_booster(model):
        return sklearn.predict(model, data)
    names = model.feature_names if not hasattr(data, "columns") else None
    matrix = load("xgboost").DMatrix(data, feature_names=names, enable_categorical=True)
    return {"prediction": load("numpy").asarray(model.predict(matrix))}


def categories(model: Any, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the categories that the model has kept for these columns.

    XGBoost returns only ASCII texts undamaged. If one text is not ASCII, no categories are returned.
    """
    booster = model if is_booster(model) else model.get_booster()
    if not hasattr(booster, "get_categories"):
        return {}
    kept: list[tuple[str, Any]] = booster.get_categories(export_to_arrow=True).to_arrow() or []
    raw: dict[str, Any] = {name: found for name, found in kept if found is not None and name in columns}
    if not all(
        bytes(found.buffers()[2] or b"").isascii() for found in raw.values() if len(found.buffers()) > 2
    ):
        return {}
    return {name: tuple(found.to_pylist()) for name, found in raw.items()}


def convert(model: Any, signature: Signature, types: dict[str, str]) -> bytes:
    """Return the model as ONNX. Raises any error of the converter, and ValueError for a model with categories."""
    change = load("onnxmltools").convert_xgboost
    bare = is_booster(model)
    if "c" in ((model if bare else model.get_booster()).feature_types or ()):
        raise ValueError("categories are not converted")
    objective = json.loads(model.save_config())["learner"]["objective"]["name"] if bare else ""
    return boosters.convert(
        _anonymous(model, bare),
        signature,
        change,
        bare=bare,
        binary=objective == "binary:logistic",
    )


def _anonymous(model: Any, bare: bool) -> Any:
    """Return the same model without feature names, because the converter does not take them."""
    booster = (model if bare else model.get_booster()).copy()
    booster.feature_names = None
    if bare:
        return booster
    wrapper = copy.copy(model)
    vars(wrapper)["_Booster"] = booster
    return wrapper
