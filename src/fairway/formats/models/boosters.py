"""What LightGBM and XGBoost models have in common when they predict and are compiled to ONNX.

Knows that there are bare boosters and scikit-learn wrappers, and neither library.
"""

from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import graph, tables
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Signature


def prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    """A table if there is text, which becomes categories, or a wrapper was fitted with one; else an array."""
    if signature.layout == "columns" or (signature.columns and hasattr(model, "feature_names_in_")):
        return tables.table_of(signature, inputs, categories=True)
    return tables.array_of(signature, inputs)


def convert(model: Any, signature: Signature, change: Any, *, bare: bool, binary: bool) -> bytes:
    """The model as ONNX through `change(model, initial_types=)`, with the outputs of the signature.

    Args:
        bare: whether it is a booster rather than a wrapper: its prediction is the raw number or
            probabilities.
        binary: whether a bare booster gives the probability of the second of two classes.
    """
    if signature.layout != "tensor":
        raise ValueError("columns of text are not converted")
    types = load("onnxmltools.convert.common.data_types")
    converted = change(model, initial_types=graph.initial_types(types, signature, {"input": "FP32"}))
    names = [output.name for output in converted.graph.output]
    if not bare or len(names) == 1:
        return graph.finish(converted, [spec.name for spec in signature.outputs])
    probabilities = names[1]
    if not binary:
        return graph.finish(converted, ["prediction"], [probabilities])
    graph.pick_column(converted, probabilities, 1, "prediction")
    return graph.finish(converted, ["prediction"], ["prediction"])
