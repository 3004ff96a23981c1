"""Keras models: how they predict, and how they are compiled to ONNX.

This module does not know the backends.
"""

import tempfile
from pathlib import Path
from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import graph
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Signature


def adjust(model: Any, inputs: Arrays) -> Arrays:
    """Return the inputs with floating numbers in the type that the model computes with."""
    wanted = model.compute_dtype if model.compute_dtype in ("float64", "float16") else "float32"
    return {
        name: array.astype(wanted) if array.dtype.kind == "f" else array for name, array in inputs.items()
    }


def prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    """Return one array, or a list of arrays in the order of the signature."""
    arrays = [inputs[spec.name] for spec in signature.inputs]
    return arrays[0] if len(arrays) == 1 else arrays


def predict(model: Any, data: Any) -> Arrays:
    """Return the model's outputs. The first is "prediction", and further ones are "output_1" and so on."""
    to_numpy = load("keras").ops.convert_to_numpy
    result = model(data, training=False)
    if isinstance(result, dict):
        return {str(name): to_numpy(item) for name, item in result.items()}  # pyright: ignore
    results: list[Any] = list(result) if isinstance(result, (list, tuple)) else [result]  # pyright: ignore
    return {
        f"output_{place}" if place else "prediction": to_numpy(item) for place, item in enumerate(results)
    }


def convert(model: Any, signature: Signature, types: dict[str, str]) -> bytes:
    """Return the model as ONNX through Keras' own export. Raises any error of the exporter."""
    onnx = load("onnx")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(str(path), format="onnx", verbose=False)
        exported = onnx.load(str(path))
    for value, spec in zip(exported.graph.input, signature.inputs, strict=True):
        graph.rename_input(exported, value.name, spec.name)
    return graph.finish(exported, [spec.name for spec in signature.outputs])
