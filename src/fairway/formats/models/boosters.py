"""What LightGBM and XGBoost models have in common when they predict and are compiled to ONNX.

Knows that there are bare boosters and scikit-learn wrappers, and neither library.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from fairway.formats.frameworks import load
from fairway.formats.models import graph, tables
from fairway.formats.models.samples import Arrays
from fairway.spec.errors import UsageError
from fairway.spec.model import Feature, Signature

Categories = Callable[[Any, Sequence[str]], dict[str, tuple[str, ...]]]
"""The categories that a model has kept for these columns, by column."""


def prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    """A table if there are texts, categories or dates, or a wrapper was fitted with one; else an array."""
    if signature.layout == "columns" or (signature.columns and hasattr(model, "feature_names_in_")):
        return tables.table_of(signature, inputs)
    return tables.array_of(signature, inputs)


def complete(model: Any, signature: Signature, categories: Categories) -> Signature:
    """The signature with the categories of its text columns, where the sample had them as plain text.

    Raises:
        UsageError: the model has not kept them.
    """
    said = {feature.name for feature in signature.features if feature.kind or feature.dtype}
    bare = [spec.name for spec in signature.inputs if spec.datatype == "BYTES" and spec.name not in said]
    if signature.layout != "columns" or not bare:
        return signature
    found = categories(model, bare)
    if any(name not in found for name in bare):
        raise UsageError(
            f"the categories of column {bare[0]!r} are not known",
            hint="give `sample=` as the table of pandas that the model was trained on, with its columns of categories",
        )
    nullable = {feature.name for feature in signature.features if feature.nullable}
    features = [feature for feature in signature.features if feature.name not in found]
    features += [
        Feature(name=name, kind="category", categories=found[name], nullable=name in nullable)
        for name in bare
    ]
    return msgspec.structs.replace(signature, features=tuple(features))


def convert(model: Any, signature: Signature, change: Any, *, bare: bool, binary: bool) -> bytes:
    """The model as ONNX through `change(model, initial_types=)`, with the outputs of the signature.

    Args:
        bare: whether it is a booster rather than a wrapper: its prediction is the raw number or
            probabilities.
        binary: whether a bare booster gives the probability of the second of two classes.
    """
    if signature.layout != "tensor":
        raise ValueError("columns that differ in type are not converted")
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
