"""How Keras models predict and are compiled to ONNX.

Knows nothing of the backends.
"""

import tempfile
from pathlib import Path
from typing import Any

from fairway.formats.frameworks import load
from fairway.formats.models import graph
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Signature


def adjust(model: Any, inputs: Arrays) -> Arrays:
    """The inputs with floating numbers in the type of the model's computation."""
    wanted = model.compute_dtype if model.compute_dtype in ("float64", "float16") else "float32"
    return {
        name: array.astype(wanted) if array.dtype.kind == "f" else array for name, array in inputs.items()
    }


def prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    """One array, or a list of them in the order of the signature."""
    arrays = [inputs[spec.name] for spec in signature.inputs]
    return arrays[0] if len(arrays) == 1 else arrays


def predict(model: Any, data: Any) -> Arrays:
    """The model's outputs: the first is "prediction", further ones "output_1" and so on."""
    to_numpy = load("keras").ops.convert_to_numpy
    result = model(data, training=False)
    if isinstance(result, dict):
        return {str(name): to_numpy(item) for name, item in result.items()}  # pyright: ignore
    results: list[Any] = list(result) if isinstance(result, (list, tuple)) else [result]  # pyright: ignore
    return {
        f"output_{place}" if place else "prediction": to_numpy(item) for place, item in enumerate(results)
    }


def convert(model: Any, signature: Signature, types: dict[str, str]) -> bytes:
    """The model as ONNX through Keras' own export. Raises whatever the exporter raises."""
    onnx = load("onnx")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(str(path), format="onnx", verbose=False)
        exported = onnx.load(str(path))
    for value, spec in zip(exported.graph.input, signature.inputs, strict=True):
        graph.rename_input(exported, value.name, spec.name)
    return graph.finish(exported, [spec.name for spec in signature.outputs])
