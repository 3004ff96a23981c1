"""Loads a registered model into something that predicts, without running code unless its origin is trusted.

The compiled form is preferred. Knows the record of a version and no store: who calls opens the content.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from fairway.formats import carried
from fairway.formats.codecs import decode
from fairway.formats.encoded import as_bytes
from fairway.formats.frameworks import load
from fairway.formats.models.adapters import adapter_of
from fairway.formats.models.columns import python_kind
from fairway.formats.models.runtime import OnnxPredictor
from fairway.formats.models.samples import Arrays, dtype_of
from fairway.spec.artifact import Artifact, sources_of
from fairway.spec.errors import FairwayError
from fairway.spec.model import ModelVersion, Signature


class Predictor(Protocol):
    """A loaded model. Thread-safe; checks nothing, whoever took the request did."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives, with the element types it really gives."""
        ...

    @property
    def runtime(self) -> str:
        """What computes: "onnx", "scikit-learn", …"""
        ...

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs by name for inputs by name, all with the rows as first dimension."""
        ...


class NativePredictor:
    """A model in its own framework."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model = model
        self._adapter = adapter_of(model)
        self.signature = self._adapter.complete(model, signature)
        self.runtime = self._adapter.runtime
        self._kinds = {spec.name: spec.datatype for spec in signature.outputs}

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs by name for inputs by name, all with the rows as first dimension."""
        data = self._adapter.prepare(self._model, self.signature, inputs)
        outputs = tidy(self._adapter.predict(self._model, data))
        for name, array in outputs.items():
            # The kind of an array of objects depends on its rows; the signature says what they all are.
            if array.dtype.kind == "O" and self._kinds.get(name, "BYTES") != "BYTES":
                outputs[name] = array.astype(dtype_of(self._kinds[name]))
        return outputs


def load_predictor(
    version: ModelVersion,
    open: Callable[[Artifact], Path | bytes],
    *,
    trusted: Callable[[], bool] = lambda: False,
) -> Predictor:
    """The version, ready to predict.

    Args:
        open: gives the content of an artifact of the version.
        trusted: whether the content may run code: only when a run of this very project made it. Asked when it matters.

    Raises:
        FairwayError: it has no signature, is damaged, or would have to run code and may not.
    """
    candidate = version.candidate
    onnx = candidate.compiled or (candidate.artifact if candidate.artifact.format == "onnx" else None)
    if onnx is not None:
        try:
            return OnnxPredictor(as_bytes(open(onnx)), candidate.signature)
        except ImportError:
            if onnx is candidate.artifact:
                raise FairwayError(
                    f"{version} needs ONNX Runtime, which is not installed", hint="`pip install onnxruntime`"
                ) from None
    if candidate.signature is None:
        raise FairwayError(
            f"{version} was registered without a sample, so it is not known what it takes",
            hint="register it with `sample=`, some rows of its input",
        )
    model = load_model(candidate.artifact, open, trusted=trusted(), alone=True)
    return NativePredictor(model, candidate.signature)


def load_model(
    artifact: Artifact, open: Callable[[Artifact], Path | bytes], *, trusted: bool, alone: bool = False
) -> object:
    """A model in its own framework, made with the source files that travel with it.

    Args:
        open: gives the content of the artifact and of its source files.
        trusted: as in `load_predictor`, which this is the second half of.
        alone: whether the process has no project and serves only this model.

    Raises:
        FairwayError: it is damaged, cannot be read here, or would have to run code and may not.
    """
    content = open(artifact)
    if not artifact.code or not trusted:
        return decode(artifact.format, content, artifact.kind, allow_pickle=trusted)
    folder = open(sources_of(artifact))
    if not isinstance(folder, Path):
        raise FairwayError("the source files of a model are not the folder they should be")
    with carried.modules_of(artifact.code, folder, alone=alone):
        return decode(artifact.format, content, artifact.kind)


def tidy(outputs: Arrays) -> Arrays:
    """Outputs with text as objects of type str, and with numbers and truth values that came as objects as what they are."""
    return {name: _tidy(array) if array.dtype.kind in "OSU" else array for name, array in outputs.items()}


def _tidy(array: Any) -> Any:
    if array.dtype.kind == "O":
        cells = array.ravel().tolist()
        kinds = {python_kind(kind) for kind in set(map(type, cells))}
        if kinds and (kinds <= {int, float} or kinds == {bool}):
            typed = load("numpy").array(cells)
            if typed.dtype.kind in "biuf":
                return typed.reshape(array.shape)
    return array.astype(str).astype(object)
