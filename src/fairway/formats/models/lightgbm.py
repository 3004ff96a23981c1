"""How LightGBM models predict and are compiled to ONNX.

Knows nothing of other libraries but the scikit-learn interface of its wrappers.
"""

import functools
from collections.abc import Sequence
from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import boosters, sklearn
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Signature


def is_booster(model: Any) -> bool:
    """Whether it is a bare Booster rather than a wrapper."""
    return type(model).__name__ == "Booster"


def predict(model: Any, data: Any) -> Arrays:
    """A Booster's raw prediction, or a wrapper's as in scikit-learn."""
    return (
        {"prediction": load("numpy").asarray(model.predict(data))}
        if is_booster(model)
        else sklearn.predict(model, data)
    )


def categories(model: Any, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The categories of these columns, if they are all that the model has. It keeps them without names, in order."""
    booster = model if is_booster(model) else model.booster_
    kept: list[list[str]] = booster.pandas_categorical or []
    return dict(zip(columns, map(tuple, kept), strict=True)) if len(kept) == len(columns) else {}


def convert(model: Any, signature: Signature, types: dict[str, str]) -> bytes:
    """The model as ONNX. Raises whatever the converter raises."""
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
