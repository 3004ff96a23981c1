import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from fairway.formats import NativePredictor, check_parity, decode_samples, package_model, signature_of

torch: Any = None


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Load PyTorch for the tests of this file. Every worker of the test runner imports every file."""
    global torch
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: `make torch`")


def network() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))


def test_inputs_take_the_type_of_the_weights() -> None:
    assert signature_of(network(), np.ones((5, 3))).inputs[0].datatype == "FP32"
    assert signature_of(network().double(), np.ones((5, 3), dtype="f4")).inputs[0].datatype == "FP64"


@pytest.mark.parametrize("rows", [1, 5])
def test_a_module_is_compiled_for_any_number_of_rows(rows: int) -> None:
    pytest.importorskip("onnx")
    package = package_model(network(), np.random.default_rng(0).random((rows, 3)))
    assert package.compiled is not None, package.note
    assert package.signature.outputs[0].shape == (-1, 2)


def test_the_exporter_does_not_talk_of_packages_it_could_do_without() -> None:
    pytest.importorskip("onnxscript")
    code = (
        "import numpy, torch; from fairway.formats import package_model;"
        "print(package_model(torch.nn.Linear(3, 2), numpy.ones((4, 3))).compiled is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
    assert "not installed" not in done.stderr


def test_a_module_predicts_on_its_own() -> None:
    module = network()
    package = package_model(module, np.random.default_rng(0).random((5, 3)))
    inputs, outputs = decode_samples(package.samples)
    assert check_parity(NativePredictor(module, package.signature), inputs, outputs).ok


def test_several_outputs_are_named() -> None:
    class Two(torch.nn.Module):
        def forward(self, data: Any) -> Any:
            return data * 2, data.sum(dim=1)

    signature = signature_of(Two(), np.ones((4, 3), dtype="f4"))
    assert [spec.name for spec in signature.outputs] == ["prediction", "output_1"]
