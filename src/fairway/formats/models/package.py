"""Makes of a model and some sample rows what is registered with it: signature, samples, compiled form.

Knows no store and no registry.
"""

import importlib.util
from typing import Any

import msgspec

from fairway.formats.frameworks import install_hint
from fairway.formats.models import graph, tables
from fairway.formats.models.adapters import Adapter, adapter_of, describe_model
from fairway.formats.models.parity import check_parity
from fairway.formats.models.predictor import NativePredictor, tidy
from fairway.formats.models.runtime import OnnxPredictor
from fairway.formats.models.samples import Arrays, Sample, encode_samples, read_sample, spec_of
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.model import Signature

_CONVERTERS = {
    "scikit-learn": ("skl2onnx", "onnxruntime"),
    "LightGBM": ("onnxmltools", "onnxruntime"),
    "XGBoost": ("onnxmltools", "onnxruntime"),
    "PyTorch": ("onnx", "onnxruntime"),
    "Keras": ("onnx", "onnxruntime"),
    "onnx": ("onnxruntime",),
}


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with a model.

    Attributes:
        samples: input rows and the model's outputs, as `decode_samples` reads them.
        rows: how many.
        compiled: the model as ONNX, which reproduced the samples; None when there is no such form.
        note: how close it came, or why there is none.
        framework: such as "scikit-learn 1.9.1".
    """

    signature: Signature
    samples: bytes
    rows: int
    compiled: bytes | None
    note: str
    framework: str


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A model as ONNX, or why there is none."""

    data: bytes | None
    note: str


def package_model(model: Any, sample: Any) -> Package:
    """Signature, samples and compiled form of a model.

    Raises:
        UsageError: the sample does not fit the model, or the model cannot predict new rows.
        FairwayError: the model answers differently when it is given the sample as a server would give it.
    """
    signature, inputs, outputs = _examine(model, sample)
    native = check_parity(NativePredictor(model, signature), inputs, outputs)
    compiled = compile_onnx(model, signature, inputs, outputs)
    if not native.ok and compiled.data is None:
        raise FairwayError(
            f"the model does not give the same answers for its own sample when it is served: {native.note}",
            hint="give `sample=` in the form the model was trained on, and a model whose answers do not vary",
        )
    return Package(
        signature=signature,
        samples=encode_samples(inputs, outputs),
        rows=len(next(iter(outputs.values()))),
        compiled=compiled.data,
        note=compiled.note,
        framework=describe_model(model),
    )


def signature_of(model: Any, sample: Any) -> Signature:
    """What the model takes and gives, from up to 32 sample rows. Raises UsageError."""
    return _examine(model, sample)[0]


def predict_sample(model: Any, sample: Any) -> Arrays:
    """The outputs for the sample: "prediction", then a classifier's "probabilities". Raises UsageError."""
    return _examine(model, sample)[2]


def sample_inputs(model: Any, sample: Any) -> Arrays:
    """The sample rows as arrays under the names of the signature's inputs. Raises UsageError."""
    return _examine(model, sample)[1]


def compile_onnx(model: Any, signature: Signature, inputs: Arrays, expected: Arrays) -> Compiled:
    """The model as ONNX if it reproduces the expected outputs for the inputs; never raises.

    Inputs are tried in their own element types first, then as FP64 and FP32, which some operators need.
    """
    adapter = adapter_of(model)
    if adapter.convert is None:
        return Compiled(data=None, note="there is no ONNX form of this kind of model")
    for name in _CONVERTERS[adapter.runtime]:
        if importlib.util.find_spec(name) is None:
            return Compiled(data=None, note=f"{name} is not installed: {install_hint(name)}")
    note = ""
    for types in graph.candidates(signature):
        try:
            data = adapter.convert(model, signature, types, inputs)
            predictor = OnnxPredictor(data, signature)
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            note = note or f"it cannot be converted to ONNX: {reason}"
            continue
        parity = check_parity(predictor, inputs, expected)
        if parity.ok:
            return Compiled(data=data, note=parity.note)
        note = f"its ONNX form was dropped: {parity.note}"
    return Compiled(data=None, note=note)


def _examine(model: Any, sample: Any) -> tuple[Signature, Arrays, Arrays]:
    """Signature, inputs and outputs of a model for a sample."""
    adapter = adapter_of(model)
    read = read_sample(sample)
    arrays, columns = _layout(adapter, model, read)
    inputs = adapter.adjust(model, arrays)
    layout = "columns" if read.table and "input" not in inputs else "tensor"
    signature = Signature(
        layout=layout,
        inputs=tuple(spec_of(name, array) for name, array in inputs.items()),
        outputs=(),
        columns=columns,
    )
    native = adapter.native and read.native is not None
    try:
        data = read.native if native else adapter.prepare(model, signature, inputs)
        outputs = tidy(adapter.predict(model, data))
    except FairwayError:
        raise
    except Exception as error:
        raise UsageError(
            f"the model cannot predict its sample: {' '.join(str(error).split())}",
            hint="give `sample=` in the form the model was trained on",
        ) from error
    rows = len(next(iter(inputs.values())))
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != rows:
            raise UsageError(f"the model's {name} for {rows} sample rows has the shape {array.shape}")
    made = tuple(spec_of(name, array) for name, array in outputs.items())
    return msgspec.structs.replace(signature, outputs=made, classes=_classes(adapter, model)), inputs, outputs


def _layout(adapter: Adapter, model: Any, read: Sample) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays as the model gets them, and the names of the features."""
    if not read.table:
        return read.arrays, ()
    names = tuple(read.arrays)
    merged = None if adapter.wants_table(model) else tables.merge(read.arrays)
    if adapter.runtime == "onnx" or any(array.ndim > 1 for array in read.arrays.values()):
        merged = None
    return (read.arrays if merged is None else {"input": merged}), names


def _classes(adapter: Adapter, model: Any) -> tuple[str | int | float | bool, ...]:
    """The labels as JSON values; empty when one is not."""
    labels = [label.item() if hasattr(label, "item") else label for label in adapter.classes(model)]
    return tuple(labels) if all(isinstance(label, (str, int, float, bool)) for label in labels) else ()
