"""PyTorch modules: how they predict, and how they are compiled to ONNX.

This module knows no other library.
"""

import importlib.util
import io
import logging
from typing import Any

from fairway.formats import onnx
from fairway.formats.frameworks import load
from fairway.formats.models.samples import Arrays
from fairway.spec.model import Signature


def adjust(model: Any, inputs: Arrays) -> Arrays:
    """Return the inputs with floating numbers in the type of the module's weights, as far as numpy has it."""
    weights = next((p for p in model.parameters() if p.is_floating_point()), None)
    name = str(weights.dtype).removeprefix("torch.") if weights is not None else "float32"
    wanted = name if name in ("float64", "float16") else "float32"
    return {key: array.astype(wanted) if array.dtype.kind == "f" else array for key, array in inputs.items()}


def prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    """Return one tensor for each input, in the order of the signature, on the module's device."""
    np, torch = load("numpy"), load("torch")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    arrays = (np.array(inputs[spec.name]) for spec in signature.inputs)
    return tuple(torch.from_numpy(array).to(device) for array in arrays)


def predict(model: Any, data: Any) -> Arrays:
    """Return outputs by name.

    A tensor is "prediction". Further tensors of a tuple are "output_1" and so on. A dict has names of its own.
    """
    torch = load("torch")
    model.eval()
    with torch.inference_mode():
        result = model(*data)
    if isinstance(result, dict):
        named: dict[str, Any] = dict(result)  # pyright: ignore
    elif isinstance(result, (tuple, list)):
        named = {f"output_{place}" if place else "prediction": item for place, item in enumerate(result)}  # pyright: ignore
    else:
        named = {"prediction": result}
    return {str(name): _numpy(item) for name, item in named.items()}


def convert(model: Any, signature: Signature, types: dict[str, str], inputs: Arrays) -> bytes:
    """Return the module as ONNX with a free batch size. Raises any error of the exporter."""
    torch = load("torch")
    module = model.eval()
    rows = (item.cpu() for item in prepare(module, signature, inputs))
    # The exporter would take a batch of one for a fixed size.
    data = tuple(torch.cat([item, item]) if len(item) == 1 else item for item in rows)
    if importlib.util.find_spec("onnxscript") and not isinstance(module, torch.jit.ScriptModule):
        try:
            return _export(module, signature, data)
        except Exception:
            return _trace(module, signature, data)
    return _trace(module, signature, data)


def _export(module: Any, signature: Signature, data: tuple[Any, ...]) -> bytes:
    """Export through torch.export. Raises SerializationError when functions of PyTorch's own are left in the graph."""
    torch = load("torch")
    batch = torch.export.Dim("rows", min=1)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # its warnings name packages that it can do without
    try:
        program = torch.onnx.export(
            module,
            data,
            input_names=[spec.name for spec in signature.inputs],
            output_names=[spec.name for spec in signature.outputs],
            dynamic_shapes=tuple({0: batch} for _ in data),
            dynamo=True,
            verbose=False,
        )
    finally:
        logger.setLevel(level)
    exported: bytes = program.model_proto.SerializeToString(deterministic=True)
    onnx.check(exported)
    return exported


def _trace(module: Any, signature: Signature, data: tuple[Any, ...]) -> bytes:
    """Export through one recorded run, the older way."""
    names = [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]
    buffer = io.BytesIO()
    load("torch").onnx.export(
        module,
        data,
        buffer,
        input_names=names,
        output_names=outputs,
        dynamic_axes={name: {0: "rows"} for name in (*names, *outputs)},
        dynamo=False,
    )
    return buffer.getvalue()


def _numpy(tensor: Any) -> Any:
    """Return a tensor as a numpy array."""
    torch = load("torch")
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
