from collections.abc import Callable
from typing import Any

import pytest

from fairway.formats import encode

torch: Any = None


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Load PyTorch for the tests of this file. Every worker of the test runner imports every file."""
    global torch
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: `make torch`")
    pytest.importorskip("safetensors")


@pytest.mark.parametrize("size", [3, 100_000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int64", "uint8", "bool"])
def test_tensors_come_back(dtype: str, size: int, trip: Callable[..., Any]) -> None:
    tensor = (torch.arange(size) % 2).to(getattr(torch, dtype))
    again = trip(tensor, "safetensors")
    assert again.dtype == tensor.dtype
    assert torch.equal(again, tensor)


def test_views_and_gradients(trip: Callable[..., Any]) -> None:
    tensor = torch.arange(12.0).reshape(3, 4).T.requires_grad_()
    again = trip(tensor, "safetensors")
    assert torch.equal(again, tensor)
    assert again.requires_grad
    assert type(trip(torch.nn.Parameter(torch.ones(2)), "safetensors")) is torch.nn.Parameter


def test_a_state_dict_keeps_its_order(trip: Callable[..., Any]) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = module.state_dict()
    again = trip(state, "safetensors")
    assert list(again) == list(state)
    module.load_state_dict(again)


def test_a_module_is_code() -> None:
    assert encode(torch.nn.Linear(2, 1)).code
    assert encode(torch.jit.script(torch.nn.Linear(2, 1))).format == "torchscript"


def test_an_optimizers_state_is_a_bundle(trip: Callable[..., Any]) -> None:
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    again = trip(optimizer.state_dict(), "bundle")
    optimizer.load_state_dict(again)
