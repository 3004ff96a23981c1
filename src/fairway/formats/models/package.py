"""The parts that are registered with a model, made from the model and sample rows: signature, samples, compiled form.

This module knows neither stores nor registries.
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
"""The packages that each framework needs for a conversion to ONNX."""


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that are registered with a model.

    Attributes:
        signature: the inputs and outputs of the model.
        samples: input rows and the model's outputs, as `decode_samples` reads them.
        rows: the number of sample rows.
        compiled: the model as ONNX, which reproduced the samples. None stands for no such form.
        note: how close the compiled form came, or why there is none.
        framework: the framework with its version, such as "scikit-learn 1.9.1".
    """

    signature: Signature
    samples: bytes
    rows: int
    compiled: bytes | None
    note: str
    framework: str


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A model as ONNX, or the reason why there is no such form."""

    data: bytes | None
    note: str


def package_model(model: Any, sample: Any) -> Package:
    """Make signature, samples and compiled form of a model.

    Raises:
        UsageError: the sample does not fit the model, or the model cannot predict new rows.
        FairwayError: the model answers differently when it gets the sample from a server.
    """
    examined = _examine(model, sample)
    # Unknown values are settled first, because the compiled form must treat them as the model does.
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
    """Return the inputs and outputs of a model, from up to 32 sample rows. Raises UsageError."""
    return _examine(model, sample).signature


def predict_sample(model: Any, sample: Any) -> Arrays:
    """Return the outputs for a sample: "prediction", and "probabilities" for a classifier. Raises UsageError."""
    return _examine(model, sample).outputs


def sample_inputs(model: Any, sample: Any) -> Arrays:
    """Return the sample rows as arrays under the names of the signature's inputs. Raises UsageError."""
    return _examine(model, sample).inputs


def compile_onnx(
    model: Any,
    signature: Signature,
    inputs: Arrays,
    expected: Arrays,
    probes: Sequence[unknown.Probe] = (),
) -> Compiled:
    """Compile a model to ONNX and keep the result only if it reproduces the expected outputs. Never raises.

    Inputs are tried in their own element types first, then as FP64 and FP32, which some operators need.

    Args:
        model: the model.
        signature: its signature.
        inputs: the sample rows.
        expected: the model's outputs for them.
        probes: further inputs with their outputs, which must be reproduced too. The compiled model must fail on
            inputs whose outputs are None.
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
    """Check that the compiled form treats these inputs as the model does: it gives the same answers, or fails too."""
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
    """A model and its sample in one form of serving.

    `native` tells whether the model itself reproduces the sample in this form.
    """

    signature: Signature
    inputs: Arrays
    outputs: Arrays
    native: Parity


def _examine(model: Any, sample: Any) -> _Examined:
    """Return the first form in which the model reproduces its sample, or the first of all when it does so in none.

    Raises:
        UsageError: the model takes the sample in no form.
    """
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
    """Yield the sample as one array, if that is possible, and as columns.

    One array comes first because it is the fastest to serve. A model that wants its columns by name cannot predict it.
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
    """Return signature, inputs and outputs of a model whose inputs are these arrays. Raises UsageError."""
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
    except ModuleNotFoundError as error:
        name = error.name or ""
        raise UsageError(
            f"the model cannot predict its sample, because {name or error} is not installed",
            hint=f"{install_hint(name)}, or name it in the requirements of the project" if name else "",
        ) from error
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
    """Return the labels as JSON values. There are none when one of them is no JSON value."""
    labels = [label.item() if hasattr(label, "item") else label for label in adapter.classes(model)]
    return tuple(labels) if all(isinstance(label, (str, int, float, bool)) for label in labels) else ()
