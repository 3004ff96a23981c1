from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

jax: Any = None


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Load JAX for the tests of this file. Every worker of the test runner imports every file."""
    global jax
    jax = pytest.importorskip("jax")


@pytest.mark.parametrize("size", [3, 100_000])
def test_arrays_come_back(size: int, trip: Callable[..., Any]) -> None:
    array = jax.numpy.arange(size, dtype="float32")
    again = trip(array, "npy")
    assert isinstance(again, jax.Array)
    assert np.array_equal(again, array)


def test_parameters_of_a_network_are_a_bundle(trip: Callable[..., Any]) -> None:
    parameters = {"dense": {"w": jax.numpy.ones((3, 2)), "b": jax.numpy.zeros(2)}}
    again = trip(parameters, "bundle")
    assert again["dense"]["w"].shape == (3, 2)


def test_types_that_numpy_does_not_have_are_pickled(trip: Callable[..., Any]) -> None:
    array = jax.numpy.ones(3, dtype="bfloat16")
    assert trip(array, "pickle", trusted=True).dtype == array.dtype
    assert trip(np.asarray(array), "pickle", trusted=True).dtype == array.dtype
