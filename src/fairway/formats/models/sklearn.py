"""scikit-learn models, and objects that behave like them: how they predict, and how they are compiled to ONNX.

This module knows the interface of estimators: `predict`, `predict_proba`, `classes_`, `transform`.
"""

import warnings
from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import converters, graph, tables
from fairway.formats.models.samples import Arrays
from fairway.spec.errors import UsageError
from fairway.spec.model import Signature


def predict(model: Any, data: Any) -> Arrays:
    """Return the outputs "prediction" and, for a model that has them, "probabilities".

    The result of a transformer counts as its prediction. Raises UsageError for a model that can do neither.
    """
    np = load("numpy")
    if hasattr(model, "predict"):
        outputs = {"prediction": np.asarray(model.predict(data))}
    elif hasattr(model, "transform"):
        transformed = model.transform(data)
        dense = transformed.toarray() if hasattr(transformed, "toarray") else transformed
        outputs = {"prediction": np.asarray(dense)}
    else:
        raise UsageError(
            f"a {type(model).__name__} cannot predict new rows", hint="register a model that has `predict`"
        )
    if hasattr(model, "predict_proba"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probabilities = model.predict_proba(data)
        if not isinstance(probabilities, list):
            outputs["probabilities"] = np.asarray(probabilities)
    return outputs


def classes(model: Any) -> list[Any]:
    """Return the labels of a classifier in the order of its probabilities. Other models have none."""
    found = getattr(model, "classes_", None)
    return [] if found is None or isinstance(found, list) else list(found)


def wants_table(model: Any) -> bool:
    """Tell whether the model selects columns by name, so that each column must be kept apart."""
    parameters = model.get_params(deep=True).values() if hasattr(model, "get_params") else ()
    return any(
        type(part).__name__ in ("ColumnTransformer", "FunctionTransformer") for part in (model, *parameters)
    )


def prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    """Return the inputs as a table if the model was fitted with one, otherwise as an array."""
    if signature.layout == "columns" or (signature.columns and hasattr(model, "feature_names_in_")):
        return tables.table_of(signature, inputs)
    return tables.array_of(signature, inputs)


def convert(model: Any, signature: Signature, types: dict[str, str]) -> bytes:
    """Return the model as ONNX, with the outputs of the signature. Raises any error of the converter.

    Args:
        model: the model.
        signature: its signature.
        types: the element type of each input, which may be narrower than the signature's.
    """
    skl2onnx = load("skl2onnx")
    functions = converters.prepare(model)
    initial = graph.initial_types(load("skl2onnx.common.data_types"), signature, types)
    latest = min(skl2onnx.__max_supported_opset__, load("onnx.defs").onnx_opset_version())
    options = {"zipmap": False} if len(signature.outputs) > 1 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = skl2onnx.convert_sklearn(
            model,
            initial_types=initial,
            options=options,
            target_opset={"": latest, "ai.onnx.ml": 3},
            custom_conversion_functions=functions,
        )
    if labels := _voted(model):
        graph.settle_ties(converted, labels)
    return graph.finish(converted, [spec.name for spec in signature.outputs])


def _voted(model: Any) -> list[Any]:
    """Return the labels of a classifier whose trees vote, in a type that ONNX has. Other models have none."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if type(last).__name__ not in ("RandomForestClassifier", "ExtraTreesClassifier", "BaggingClassifier"):
        return []
    labels = [label.item() if hasattr(label, "item") else label for label in classes(last)]
    if all(isinstance(label, str) for label in labels):
        return labels
    return [int(label) for label in labels] if all(isinstance(label, int) for label in labels) else []
