import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairway.formats import (
    CODE_FORMATS,
    NativePredictor,
    check_parity,
    decode,
    describe_model,
    encode,
    package_model,
)
from fairway.formats.models.samples import decode_samples
from fairway.spec.errors import SerializationError

keras: Any = None


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Load Keras for the tests of this file. Every worker of the test runner imports every file."""
    global keras
    keras = pytest.importorskip("keras")


def network() -> Any:
    layers = [keras.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)]
    return keras.Sequential(layers)


def test_a_model_comes_back(trip: Callable[..., Any]) -> None:
    model = network()
    again = trip(model, "keras", trusted=True)
    data = np.ones((2, 3), dtype=np.float32)
    assert np.allclose(again(data), model(data))
    assert encode(model).note == "26 parameters"
    assert describe_model(model).startswith("Keras 3.")


def test_it_counts_as_code(keep: Callable[..., Any]) -> None:
    assert "keras" in CODE_FORMATS
    path: Path = keep(encode(network()))
    assert zipfile.is_zipfile(path)
    with pytest.raises(SerializationError, match="can run code"):
        decode("keras", path, "keras.Sequential", allow_pickle=False)


def test_it_predicts_in_single_precision() -> None:
    model = network()
    package = package_model(model, np.ones((5, 3)))
    assert package.signature.inputs[0].datatype == "FP32"
    inputs, outputs = decode_samples(package.samples)
    assert check_parity(NativePredictor(model, package.signature), inputs, outputs).ok
    assert outputs["prediction"].shape == (5, 2)
    assert package.note
