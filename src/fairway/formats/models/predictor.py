"""The loading of a registered model into an object that predicts. Code runs only if its origin is trusted.

The compiled form is preferred. This module knows the record of a version and no store: the caller opens the content.
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
    """A loaded model.

    It is thread-safe and does not check its inputs, because the receiver of a request has done so.
    """

    @property
    def signature(self) -> Signature:
        """The inputs and outputs, with the element types that the outputs really have."""
        ...

    @property
    def runtime(self) -> str:
        """The name of the library that computes, such as "onnx" or "scikit-learn"."""
        ...

    def predict(self, inputs: Arrays) -> Arrays:
        """Return outputs by name for inputs by name. The first dimension of each is the rows."""
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
        """Return outputs by name for inputs by name. The first dimension of each is the rows."""
        data = self._adapter.prepare(self._model, self.signature, inputs)
        outputs = tidy(self._adapter.predict(self._model, data))
        for name, array in outputs.items():
            # The type of an array of objects depends on its rows. The signature has the type of all rows.
            if array.dtype.kind == "O" and self._kinds.get(name, "BYTES") != "BYTES":
                outputs[name] = array.astype(dtype_of(self._kinds[name]))
        return outputs


def load_predictor(
    version: ModelVersion,
    open: Callable[[Artifact], Path | bytes],
    *,
    trusted: Callable[[], bool] = lambda: False,
) -> Predictor:
    """Load a version, ready to predict.

    Args:
        version: the record of the version.
        open: returns the content of an artifact of the version.
        trusted: tells whether the content may run code. It may only if a run of this very project made it. The
            function is called only when that matters.

    Raises:
        FairwayError: the version has no signature, is damaged, or would have to run code and may not.
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
    """Load a model in its own framework, made with the source files that travel with it.

    Args:
        artifact: the record of the model's content.
        open: returns the content of the artifact and of its source files.
        trusted: True when the content may run code.
        alone: True when the process has no project and serves only this model.

    Raises:
        FairwayError: the model is damaged, cannot be read here, or would have to run code and may not.
    """
    content = open(artifact)
    if not artifact.code or not trusted:
        return decode(artifact.format, content, artifact.kind, allow_pickle=trusted)
    folder = open(sources_of(artifact))
    if not isinstance(folder, Path):
        raise FairwayError("the source files of a model should be a folder and are a file")
    with carried.modules_of(artifact.code, folder, alone=alone):
        return decode(artifact.format, content, artifact.kind)


def tidy(outputs: Arrays) -> Arrays:
    """Bring outputs to their plain types.

    Texts become objects of type str. Numbers and truth values that came as objects become numbers and truth values.
    """
    return {name: _tidy(array) if array.dtype.kind in "OSU" else array for name, array in outputs.items()}


def _tidy(array: Any) -> Any:
    """Bring an array of objects or texts to its plain type."""
    if array.dtype.kind == "O":
        cells = array.ravel().tolist()
        kinds = {python_kind(kind) for kind in set(map(type, cells))}
        if kinds and (kinds <= {int, float} or kinds == {bool}):
            typed = load("numpy").array(cells)
            if typed.dtype.kind in "biuf":
                return typed.reshape(array.shape)
    return array.astype(str).astype(object)
