"""ONNX models run by ONNX Runtime, with one thread for each call. A model is checked before it is loaded.

This module does not know where a model comes from.
"""

from typing import Any

import msgspec

from fairway.formats import onnx
from fairway.formats.frameworks import load
from fairway.formats.models.samples import Arrays
from fairway.spec.errors import FairwayError, SerializationError
from fairway.spec.model import Datatype, Signature, TensorSpec

_DATATYPES: dict[str, Datatype] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
_DTYPES = {"float": "float32", "double": "float64", "string": "object"}


class OnnxPredictor:
    """A loaded ONNX model. It is thread-safe.

    Attributes:
        signature: the registered signature, with the element types that the ONNX model gives.
    """

    runtime = "onnx"

    def __init__(self, data: bytes, signature: Signature | None = None) -> None:
        """Load a model.

        Args:
            data: the serialised model.
            signature: the signature that the model was registered with. None takes it from the model.

        Raises:
            SerializationError: the model is damaged or not admitted.
            ImportError: ONNX Runtime is not installed.
        """
        onnx.check(data)
        self._session = _session(data)
        given, made = self._session.get_inputs(), self._session.get_outputs()
        self.signature = _actual(signature, made) if signature else _own(given, made)
        types = {value.name: (_element(value), len(value.shape or ())) for value in given}
        self._outputs = [spec.name for spec in self.signature.outputs]
        lacking = [spec.name for spec in self.signature.inputs if spec.name not in types]
        lacking += [name for name in self._outputs if name not in {value.name for value in made}]
        if lacking:
            raise SerializationError(f"the ONNX model has no input or output named {lacking[0]!r}")
        np = load("numpy")
        self._inputs = [
            (spec.name, np.dtype(_DTYPES.get(types[spec.name][0], types[spec.name][0])), types[spec.name][1])
            for spec in self.signature.inputs
        ]
        self._flat = [len(spec.shape) == 1 for spec in self.signature.outputs]
        numbers = {value.name for value in made if _element(value) != "bool"}
        self._truths = [s.name for s in self.signature.outputs if s.datatype == "BOOL" and s.name in numbers]

    def predict(self, inputs: Arrays) -> Arrays:
        """Return outputs by name for inputs by name. The first dimension of each is the rows."""
        feeds: Arrays = {}
        for name, dtype, rank in self._inputs:
            array = inputs[name]
            if array.dtype != dtype:
                array = array.astype(dtype)
            feeds[name] = (
                array if array.ndim == rank or rank != array.ndim + 1 else array.reshape(*array.shape, 1)
            )
        try:
            results = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise FairwayError(f"the model could not compute: {str(error).splitlines()[0]}") from error
        outputs = {
            name: result.reshape(-1) if flat and result.ndim == 2 else result
            for name, result, flat in zip(self._outputs, results, self._flat, strict=True)
        }
        for name in self._truths:
            outputs[name] = outputs[name].astype(bool)
        return outputs


def _session(data: bytes) -> Any:
    """Load a model into ONNX Runtime. Raises SerializationError."""
    ort = load("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Waiting threads would spin and take the cores from other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise SerializationError(f"the ONNX model cannot be loaded: {reason}") from error


def _element(value: Any) -> str:
    """Return the element type of an input or output."""
    return value.type.removeprefix("tensor(").removesuffix(")")


def _spec(value: Any) -> TensorSpec:
    """Describe an input or output. Raises SerializationError when it is not a tensor."""
    element = _element(value)
    if element not in _DATATYPES:
        raise SerializationError(
            f"the ONNX model's {value.name!r} is of type {value.type}, which is not a tensor"
        )
    rest = tuple(size if isinstance(size, int) else -1 for size in (value.shape or ())[1:])
    return TensorSpec(name=value.name, datatype=_DATATYPES[element], shape=(-1, *rest))


def _own(given: list[Any], made: list[Any]) -> Signature:
    """Return the signature that a model itself declares."""
    inputs = tuple(map(_spec, given))
    layout = "tensor" if len(inputs) == 1 else "columns"
    return Signature(layout=layout, inputs=inputs, outputs=tuple(map(_spec, made)))


def _actual(signature: Signature, made: list[Any]) -> Signature:
    """Return the signature with the output types that the model really gives. Labels that are truth values stay so."""
    kinds = {value.name: _DATATYPES.get(_element(value)) for value in made}
    outputs = tuple(
        spec
        if spec.datatype == "BOOL"
        else msgspec.structs.replace(spec, datatype=kinds.get(spec.name) or spec.datatype)
        for spec in signature.outputs
    )
    return msgspec.structs.replace(signature, outputs=outputs)
