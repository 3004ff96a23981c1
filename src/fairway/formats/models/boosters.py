"""The common ways in which LightGBM and XGBoost models predict and are compiled to ONNX.

This module knows that there are bare boosters and wrappers with scikit-learn's interface. It knows neither library.
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
"""A function that returns the categories that a model has kept for some columns, by column."""


def prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    """Return the inputs as a table or as one array.

    It is a table when there are texts, categories or dates, or when a wrapper was fitted with a table.
    """
    if signature.layout == "columns" or (signature.columns and hasattr(model, "feature_names_in_")):
        return tables.table_of(signature, inputs)
    return tables.array_of(signature, inputs)


def complete(model: Any, signature: Signature, categories: Categories) -> Signature:
    """Add the categories of text columns to the signature, for columns that the sample gave as plain text.

    Raises:
        UsageError: the model has not kept the categories.
    """
    known = {feature.name for feature in signature.features if feature.kind or feature.dtype}
    bare = [spec.name for spec in signature.inputs if spec.datatype == "BYTES" and spec.name not in known]
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
    """Return the model as ONNX, with the outputs of the signature.

    Args:
        model: the booster or wrapper.
        signature: the model's signature.
        change: the converter, called as `change(model, initial_types=)`.
        bare: True for a booster, which predicts raw numbers or probabilities, and False for a wrapper.
        binary: True for a bare booster that gives the probability of the second of two classes.

    Raises:
        ValueError: the model takes columns of different types.
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
