"""Changes to an ONNX graph that apply to every converter: input types, output names, and a free batch size.

This module knows no model library.
"""

from typing import Any

from fairway.formats.frameworks import load
from fairway.spec.model import Signature

_TYPES = {
    "BOOL": "BooleanTensorType",
    "UINT8": "UInt8TensorType",
    "INT8": "Int8TensorType",
    "INT16": "Int16TensorType",
    "UINT16": "UInt16TensorType",
    "INT32": "Int32TensorType",
    "INT64": "Int64TensorType",
    "FP16": "Float16TensorType",
    "FP32": "FloatTensorType",
    "FP64": "DoubleTensorType",
    "BYTES": "StringTensorType",
}


_STEPS = 1e5
"""The number of steps from 0 to 1. Probabilities that round to the same step count as equal."""


def initial_types(module: Any, signature: Signature, types: dict[str, str]) -> list[tuple[str, Any]]:
    """Return the names and the converter types of the inputs. A column is an array of shape `(rows, 1)`."""
    made: list[tuple[str, Any]] = []
    for spec in signature.inputs:
        width = [None, 1] if len(spec.shape) == 1 else [None, *spec.shape[1:]]
        made.append((spec.name, getattr(module, _TYPES[types[spec.name]])(width)))
    return made


def candidates(signature: Signature) -> list[dict[str, str]]:
    """Return the element types to try for the inputs: as they are, then all numbers as FP64, then all as FP32."""
    exact: dict[str, str] = {spec.name: spec.datatype for spec in signature.inputs}
    found = [exact]
    for number in ("FP64", "FP32"):
        found.append({name: kind if kind == "BYTES" else number for name, kind in exact.items()})
    return [types for place, types in enumerate(found) if types not in found[:place]]


def finish(model: Any, names: list[str], outputs: list[str] | None = None) -> bytes:
    """Serialise a ModelProto with its outputs under new names and a free batch size.

    Args:
        model: the ModelProto.
        names: the new names.
        outputs: the outputs to keep. The default is the first ones.

    Raises:
        ValueError: the model has fewer outputs than names.
    """
    graph = model.graph
    kept = [output for output in graph.output if outputs is None or output.name in outputs]
    if len(kept) < len(names):
        raise ValueError(f"the converted model has {len(kept)} outputs instead of {len(names)}")
    kept = kept[: len(names)]
    renamed = {output.name: name for output, name in zip(kept, names, strict=True)}
    # A value inside the graph may have one of the new names already, and gets another.
    taken = set(names) - set(renamed)
    values = [*graph.node]
    for node in values:
        for fields in (node.input, node.output):
            for place, name in enumerate(fields):
                fields[place] = renamed.get(name, f"{name}_inner" if name in taken else name)
    protos = [load("onnx").ValueInfoProto() for _ in kept]
    for proto, output in zip(protos, kept, strict=True):
        proto.CopyFrom(output)
        proto.name = renamed[output.name]
        _free_batch(proto)
    del graph.output[:]
    graph.output.extend(protos)
    # A converter draws a name at random, and the same model would have another digest each time.
    graph.name = "model"
    # And it gives the operator sets in the order of a Python set, which every process has in another one.
    sets = sorted(model.opset_import, key=lambda opset: (opset.domain, opset.version))
    del model.opset_import[:]
    model.opset_import.extend(sets)
    return model.SerializeToString(deterministic=True)


def settle_ties(model: Any, classes: list[Any]) -> None:
    """Take the label from the probabilities, and the first label of equal probabilities.

    Trees vote, so equal probabilities are common. Converted trees add their votes in single precision, and the
    rounding would decide.

    Args:
        model: a model whose first two outputs are a label and its probabilities.
        classes: the labels in the order of the probabilities, all whole numbers or all texts.
    """
    onnx = load("onnx")
    label, probabilities = (output.name for output in model.graph.output[:2])
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == label:
                node.output[place] = f"{label}_of_votes"
    text = isinstance(classes[0], str)
    kind = onnx.TensorProto.STRING if text else onnx.TensorProto.INT64
    values = [value.encode() for value in classes] if text else classes
    made = onnx.helper.make_node
    number = next(
        output.type.tensor_type.elem_type for output in model.graph.output if output.name == probabilities
    )
    model.graph.initializer.extend(
        [
            onnx.helper.make_tensor("ties_classes", kind, [len(values)], values),
            onnx.helper.make_tensor("ties_steps", number, [], [_STEPS]),
        ]
    )
    model.graph.node.extend(
        [
            made("Mul", [probabilities, "ties_steps"], ["ties_scaled"]),
            made("Round", ["ties_scaled"], ["ties_rounded"]),
            made("ArgMax", ["ties_rounded"], ["ties_first"], axis=1, keepdims=0),
            made("Gather", ["ties_classes", "ties_first"], [label]),
        ]
    )


def pick_column(model: Any, output: str, column: int, name: str) -> None:
    """Add an output that is one column of another output."""
    onnx = load("onnx")
    index = onnx.helper.make_tensor(f"{name}_index", onnx.TensorProto.INT64, [], [column])
    model.graph.initializer.append(index)
    model.graph.node.append(onnx.helper.make_node("Gather", [output, index.name], [name], axis=1))
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None]))
    if not any(opset.domain in ("", "ai.onnx") for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid("", 15))


def _free_batch(proto: Any) -> None:
    """Let the first dimension of an output have any size."""
    shape = proto.type.tensor_type.shape
    if len(shape.dim):
        shape.dim[0].Clear()
        shape.dim[0].dim_param = "rows"


def rename_input(model: Any, old: str, new: str) -> None:
    """Give an input of the graph another name."""
    for value in model.graph.input:
        if value.name == old:
            value.name = new
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
