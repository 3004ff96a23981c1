"""How XGBoost models predict and are compiled to ONNX.

Knows nothing of other libraries but the scikit-learn interface of its wrappers.
"""

import copy
import json
from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import boosters, sklearn
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Signature


def is_booster(model: Any) -> bool:
    """Whether it is a bare Booster rather than a wrapper."""
    return type(model).__name__ == "Booster"


def predict(model: Any, data: Any) -> Arrays:
    """A Booster's prediction, or a wrapper's as in scikit-learn."""
    if not is_booster(model):
        return sklearn.predict(model, data)
    names = model.feature_names if not hasattr(data, "columns") else None
    matrix = load("xgboost").DMatrix(data, feature_names=names, enable_categorical=True)
    return {"prediction": load("numpy").asarray(model.predict(matrix))}


def convert(model: Any, signature: Signature, types: dict[str, str]) -> bytes:
    """The model as ONNX. Raises whatever the converter raises."""
    change = load("onnxmltools").convert_xgboost
    bare = is_booster(model)
    objective = json.loads(model.save_config())["learner"]["objective"]["name"] if bare else ""
    return boosters.convert(
        _anonymous(model, bare),
        signature,
        change,
        bare=bare,
        binary=objective == "binary:logistic",
    )


def _anonymous(model: Any, bare: bool) -> Any:
    """The same model without feature names, which the converter does not take."""
    booster = (model if bare else model.get_booster()).copy()
    booster.feature_names = None
    if bare:
        return booster
    wrapper = copy.copy(model)
    vars(wrapper)["_Booster"] = booster
    return wrapper
