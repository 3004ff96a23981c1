"""Makes of a model and some sample rows what is registered with it: signature, samples, compiled form.

Knows no store and no registry.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from fairway.formats.frameworks import install_hint
from fairway.formats.models import graph, tables, unknown
from fairway.formats.models.adapters import Adapter, adapter_of, describe_model
from fairway.formats.models.parity import Parity, check_parity, reason_of
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
    examined = _examine(model, sample)
    signature, probes = unknown.probe(model, examined.signature, examined.inputs)
    compiled = compile_onnx(model, signature, examined.inputs, examined.outputs, probes)
    native = examined.native
    if not native.ok and compiled.data is None:
        raise FairwayError(
            f"the model does not give the same answers for its own sample when it is served: {native.note}",
            hint="give `sample=` in the form the model was trained on, and a model whose answers do not vary",
        )
    return Package(
        signature=signature,
        samples=encode_samples(examined.inputs, examined.outputs),
        rows=len(next(iter(examined.outputs.values()))),
        compiled=compiled.data,
        note=compiled.note,
        framework=describe_model(model),
    )


def signature_of(model: Any, sample: Any) -> Signature:
    """What the model takes and gives, from up to 32 sample rows. Raises UsageError."""
    return _examine(model, sample).signature


def predict_sample(model: Any, sample: Any) -> Arrays:
    """The outputs for the sample: "prediction", then a classifier's "probabilities". Raises UsageError."""
    return _examine(model, sample).outputs


def sample_inputs(model: Any, sample: Any) -> Arrays:
    """The sample rows as arrays under the names of the signature's inputs. Raises UsageError."""
    return _examine(model, sample).inputs


def compile_onnx(
    model: Any,
    signature: Signature,
    inputs: Arrays,
    expected: Arrays,
    probes: Sequence[unknown.Probe] = (),
) -> Compiled:
    """The model as ONNX if it reproduces the expected outputs for the inputs; never raises.

    Inputs are tried in their own element types first, then as FP64 and FP32, which some operators need.

    Args:
        probes: further inputs with their outputs, which it must reproduce too; it must fail where they are None.
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
            note = note or f"it cannot be converted to ONNX: {reason_of(error)}"
            continue
        parity = check_parity(predictor, inputs, expected, each=True)
        probed = next((p for p in (_probed(predictor, *probe) for probe in probes) if not p.ok), parity)
        if parity.ok and probed.ok:
            return Compiled(data=data, note=parity.note)
        parity = probed if parity.ok else parity
        note = f"its ONNX form was dropped: {parity.note}"
    return Compiled(data=None, note=note)


def _probed(predictor: OnnxPredictor, inputs: Arrays, expected: Arrays | None) -> Parity:
    """Whether the compiled form does with these inputs what the model does: answers the same, or fails."""
    if expected is not None:
        return check_parity(predictor, inputs, expected)
    try:
        predictor.predict(inputs)
    except Exception:
        return Parity(reproduced=1, rows=1, note="exact")
    return Parity(
        reproduced=0, rows=1, note="it answers for a value that the model was not trained on and refuses"
    )


class _Examined(msgspec.Struct, frozen=True, kw_only=True):
    """A model and its sample in one form of serving. `native` says whether the model itself reproduces it so."""

    signature: Signature
    inputs: Arrays
    outputs: Arrays
    native: Parity


def _examine(model: Any, sample: Any) -> _Examined:
    """The first form in which the model reproduces its sample; the first of all when there is none."""
    adapter = adapter_of(model)
    read = read_sample(sample)
    first: _Examined | None = None
    refused: UsageError | None = None
    for arrays in _forms(adapter, model, read):
        try:
            examined = _examine_as(adapter, model, read, arrays)
        except UsageError as error:
            refused = refused or error
            continue
        if examined.native.ok:
            return examined
        first = first or examined
    if first is None:
        raise cast("UsageError", refused)
    return first


def _forms(adapter: Adapter, model: Any, read: Sample) -> Iterator[Arrays]:
    """The sample as one array, where that is possible, and as columns.

    One array comes first: it is the fastest to serve. A model that wants its columns by name does not predict it.
    """
    separate = (
        not read.table or adapter.runtime == "onnx" or any(array.ndim > 1 for array in read.arrays.values())
    )
    if separate or adapter.wants_table(model) or any(feature.kind for feature in read.features):
        yield read.arrays
        return
    merged = tables.merge(read.arrays)
    if merged is not None:
        yield {"input": merged}
    if merged is None or adapter.tables:
        yield read.arrays


def _examine_as(adapter: Adapter, model: Any, read: Sample, arrays: Arrays) -> _Examined:
    """Signature, inputs and outputs of a model whose inputs are these arrays. Raises UsageError."""
    inputs = adapter.adjust(model, arrays)
    merged = read.table and arrays is not read.arrays
    signature = Signature(
        layout="columns" if read.table and not merged else "tensor",
        inputs=tuple(spec_of(name, array) for name, array in inputs.items()),
        outputs=(),
        columns=tuple(read.arrays) if read.table else (),
        features=read.features,
        table=read.library,
    )
    signature = adapter.complete(model, signature)
    try:
        data = read.native
        if not adapter.native or data is None:
            data = adapter.prepare(model, signature, inputs)
        outputs = tidy(adapter.predict(model, data))
    except FairwayError:
        raise
    except Exception as error:
        raise UsageError(
            f"the model cannot predict its sample: {reason_of(error)}",
            hint="give `sample=` in the form the model was trained on",
        ) from error
    rows = len(next(iter(inputs.values())))
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != rows:
            raise UsageError(f"the model's {name} for {rows} sample rows has the shape {array.shape}")
    made = tuple(spec_of(name, array) for name, array in outputs.items())
    signature = msgspec.structs.replace(signature, outputs=made, classes=_classes(adapter, model))
    native = check_parity(NativePredictor(model, signature), inputs, outputs, each=True)
    return _Examined(signature=signature, inputs=inputs, outputs=outputs, native=native)


def _classes(adapter: Adapter, model: Any) -> tuple[str | int | float | bool, ...]:
    """The labels as JSON values; empty when one is not."""
    labels = [label.item() if hasattr(label, "item") else label for label in adapter.classes(model)]
    return tuple(labels) if all(isinstance(label, (str, int, float, bool)) for label in labels) else ()
