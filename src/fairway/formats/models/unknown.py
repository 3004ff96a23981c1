"""The answers of a served model to values that it was not trained on and to missing values, settled at registration.

This module asks the model. It lets the model predict copies of sample rows with such a value, in each column of
categories, of text, and of numbers if the model encodes numbers. It knows the interface of estimators and no
framework.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from fairway.formats.frameworks import load
from fairway.formats.models import encoders
from fairway.formats.models.adapters import adapter_of
from fairway.formats.models.predictor import NativePredictor
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Feature, Signature

Probe = tuple[Arrays, Arrays | None]
"""The inputs of some rows, and the model's outputs for them. None stands for a model that fails on them."""

_ROWS = 8
"""The number of rows that are asked about. A single row may get the right answer by chance."""

_MOST = 256
"""The largest number of columns that are asked about."""


def probe(model: Any, signature: Signature, inputs: Arrays) -> tuple[Signature, list[Probe]]:
    """Settle `unknown` for every column that needs it.

    Returns:
        the signature, and the rows that were asked about with the model's answers.
    """
    signature, probes = _of_categories(model, signature, inputs)
    refused: list[Feature] = []
    trained = encoders.trained_on(model, signature.columns) if signature.layout == "columns" else {}
    predictor = NativePredictor(model, signature)
    for name, is_text, asked in _strange_rows(model, signature, inputs):
        try:
            answer = predictor.predict(asked)
        except Exception:
            known = trained.get(name, ())
            if known and _takes(predictor, inputs, name, known):
                refused.append(_feature(signature, name, known))
            else:
                probes.append((asked, None))
            continue
        if is_text:
            probes.append((asked, answer))
    for asked in _rows_without(signature, inputs):
        try:
            probes.append((asked, predictor.predict(asked)))
        except Exception:
            probes.append((asked, None))
    replaced = {feature.name for feature in refused}
    others = [feature for feature in signature.features if feature.name not in replaced]
    return msgspec.structs.replace(signature, features=(*others, *refused)), probes


def _of_categories(model: Any, signature: Signature, inputs: Arrays) -> tuple[Signature, list[Probe]]:
    """Settle `unknown` for the columns of categories alone, and return the same as `probe`."""
    probes: list[Probe] = []
    if not any(feature.kind == "category" for feature in signature.features):
        return signature, probes
    keeps = "kept" if adapter_of(model).runtime == "scikit-learn" and _looks_at_values(model) else "missing"
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


def _strange_rows(model: Any, signature: Signature, inputs: Arrays) -> Iterator[tuple[str, bool, Arrays]]:
    """Yield rows for each plain column, with a value that the sample does not have.

    Numbers are strange only to a model that encodes them.

    Yields:
        the name of the input, True for text, and the rows.
    """
    settled = {feature.name for feature in signature.features if feature.kind}
    encodes = encoders.refuses_unknown(model)
    rows = {name: array[:_ROWS] for name, array in inputs.items()}
    asked = 0
    for spec in signature.inputs:
        array = inputs[spec.name]
        is_text = array.dtype.kind == "O"
        if spec.name in settled or not (is_text or (encodes and array.dtype.kind in "iuf")):
            continue
        width = 1 if array.ndim == 1 else array.shape[1] if array.ndim == 2 else 0
        for place in range(min(width, _MOST - asked)):
            column = array if array.ndim == 1 else array[:, place]
            changed = rows[spec.name].copy()
            changed[... if array.ndim == 1 else (slice(None), place)] = _unlike(column)
            asked += 1
            yield spec.name, is_text, {**rows, spec.name: changed}


def _rows_without(signature: Signature, inputs: Arrays) -> Iterator[Arrays]:
    """Yield rows without a value in each column that may lack one, and in all such columns at once."""
    rows = {name: array[:_ROWS] for name, array in inputs.items()}
    without = {name: array.copy() for name, array in rows.items()}
    names = [feature.name for feature in signature.features if feature.nullable][:_MOST]
    for name in names:
        inside = signature.layout == "tensor" and name in signature.columns
        held = signature.inputs[0].name if inside else name
        place: Any = (slice(None), signature.columns.index(name)) if inside else ...
        if held not in rows or rows[held].dtype.kind not in "Of":
            continue
        missing = None if rows[held].dtype.kind == "O" else float("nan")
        changed = rows[held].copy()
        changed[place] = without[held][place] = missing
        yield {**rows, held: changed}
    if len(names) > 1:
        yield without


def _unlike(column: Any) -> Any:
    """Return a value that the column does not hold."""
    np = load("numpy")
    cells = set(column.tolist())
    if column.dtype.kind == "O":
        value = "unknown"
        while value in cells:
            value += "_"
        return value
    if column.dtype.kind == "f":
        return float(np.nanmax(np.abs(column), initial=0.0)) + 1000.5
    limits = np.iinfo(column.dtype)
    start = min(int(limits.max), max(map(int, cells)) + 1000)
    return next(value for value in range(start, int(limits.min) - 1, -1) if value not in cells)


def _takes(predictor: NativePredictor, inputs: Arrays, name: str, known: tuple[Any, ...]) -> bool:
    """Tell whether the model predicts each of these values in this column."""
    np = load("numpy")
    many = np.zeros(len(known), dtype=int)
    column = np.empty(len(known), dtype=inputs[name].dtype)
    try:
        column[:] = known
        predictor.predict({**{other: array[many] for other, array in inputs.items()}, name: column})
    except Exception:
        return False
    return True


def _feature(signature: Signature, name: str, known: tuple[Any, ...]) -> Feature:
    """Return the feature of a column with its known values, set to refuse others."""
    found = next((feature for feature in signature.features if feature.name == name), Feature(name=name))
    return msgspec.structs.replace(found, categories=known, unknown="refused")


def _looks_at_values(model: Any) -> bool:
    """Tell whether all parts of the model belong to scikit-learn.

    Such parts look at values and never at the codes of categories.
    """
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
    """Return rows with a value in this column that is no category. A type without such a value gives None."""
    np = load("numpy")
    rows = {name: array[:_ROWS] for name, array in inputs.items()}
    dtype, known = rows[feature.name].dtype, feature.categories
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
    return {**rows, feature.name: np.array([value] * len(rows[feature.name]), dtype=dtype)}
