"""Settles at registration what a served model does with a category that it was not trained on.

It asks the model: a copy of a sample row with such a value is predicted in each column of categories. Knows the
interface of estimators and no framework.
"""

from typing import Any

import msgspec

from fairway.formats.frameworks import load
from fairway.formats.models.adapters import adapter_of
from fairway.formats.models.predictor import NativePredictor
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Feature, Signature

Probe = tuple[Arrays, Arrays]
"""Inputs of one row, and the outputs of the model for them."""


def probe(model: Any, signature: Signature, inputs: Arrays) -> tuple[Signature, list[Probe]]:
    """The signature with `unknown` settled for every feature of categories, and the rows with the model's answers."""
    probes: list[Probe] = []
    if not any(feature.kind == "category" for feature in signature.features):
        return signature, probes
    keeps = "kept" if adapter_of(model).runtime == "scikit-learn" and _judges(model) else "missing"
    settled: list[Feature] = []
    for feature in signature.features:
        if feature.kind == "category":
            feature = msgspec.structs.replace(feature, unknown=keeps)
        settled.append(feature)
    signature = msgspec.structs.replace(signature, features=tuple(settled))
    predictor = NativePredictor(model, signature)
    for place, feature in enumerate(settled):
        asked = _asked(feature, inputs) if feature.kind == "category" else None
        if asked is None:
            continue
        try:
            probes.append((asked, predictor.predict(asked)))
        except Exception:
            settled[place] = msgspec.structs.replace(feature, unknown="refused")
    return msgspec.structs.replace(signature, features=tuple(settled)), probes


def _judges(model: Any) -> bool:
    """Whether all parts of the model are scikit-learn's own, which look at values and never at codes of categories."""
    parts: tuple[Any, ...] = (
        model,
        *(model.get_params(deep=True).values() if hasattr(model, "get_params") else ()),
    )
    owners: list[Any] = [
        part if callable(part) and hasattr(part, "__module__") else type(part) for part in parts
    ]
    roots = {str(getattr(owner, "__module__", "")).partition(".")[0] for owner in owners}
    return roots <= {"sklearn", "builtins", "numpy", "None", ""}


def _asked(feature: Feature, inputs: Arrays) -> Arrays | None:
    """The first row with a value in this column that is no category; None where the type has no such value."""
    np = load("numpy")
    row = {name: array[:1] for name, array in inputs.items()}
    dtype, known = row[feature.name].dtype, feature.categories
    value: Any
    if dtype.kind == "O":
        value = "unknown"
        while value in known:
            value += "_"
    elif dtype.kind in "iuf" and known:
        value = max(float(category) for category in known) + 1
        if dtype.kind in "iu" and value > np.iinfo(dtype).max:
            return None
    else:
        return None
    return {**row, feature.name: np.array([value], dtype=dtype)}
