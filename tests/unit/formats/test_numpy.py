from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fairway.formats import Encoded, decode, encode

Trip = Callable[..., Any]


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: np.arange(n * n, dtype=np.float64).reshape(n, n),
        lambda n: np.asfortranarray(np.arange(n * n, dtype=np.int16).reshape(n, n)),
        lambda n: np.arange(n * n * 2).reshape(n, 2 * n)[:, ::2],
        lambda n: np.zeros((0, n)),
        lambda n: np.array(n),
        lambda n: np.array(["a", "bc"] * n),
        lambda n: np.array([b"a", b""] * n),
        lambda n: np.arange(n).astype("datetime64[s]"),
        lambda n: np.zeros(n, dtype=[("a", "i4"), ("b", "f8", (2,))]),
        lambda n: np.arange(n, dtype=">i4"),
        lambda n: np.zeros(n, dtype="V3"),
        lambda n: np.ones(n, dtype=bool),
        lambda n: np.ones((n, n), dtype=np.complex64),
    ],
)
def test_arrays_come_back_exactly(make: Callable[[int], Any], size: int, trip: Trip) -> None:
    array = make(size)
    again = trip(array, "npy")
    assert type(again) is np.ndarray
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()


def test_a_large_array_is_mapped_and_can_be_written_to_without_changing_the_store(
    keep: Callable[[Encoded], Any],
) -> None:
    array = np.arange(100_000, dtype=np.float64)
    encoded = encode(array)
    assert encoded.write is not None
    path = keep(encoded)
    stored = path.read_bytes()
    again: Any = decode("npy", path)
    assert isinstance(again.base, np.memmap)
    again[0] = -1
    assert path.read_bytes() == stored
    assert decode("npy", path)[0] == 0  # pyright: ignore
    assert again[0] == -1


def test_equal_arrays_have_equal_bytes() -> None:
    assert encode(np.arange(5)).data == encode(np.arange(10)[::2] // 2).data


def test_a_mapped_array_can_be_stored_again(trip: Trip) -> None:
    array = np.arange(100_000)
    assert (trip(trip(array, "npy"), "npy") == array).all()


def test_subclasses_keep_their_class_by_pickle(trip: Trip) -> None:
    masked = np.ma.array([1, 2], mask=[True, False])
    assert type(trip(masked, "pickle", trusted=True)) is np.ma.MaskedArray
    for matrix in (np.matrix([[1, 2], [3, 4]]), np.matrix([[5]])):
        again = trip(matrix, "pickle", trusted=True)
        assert type(again) is np.matrix
        assert again.tolist() == matrix.tolist()
    assert encode(np.array([object()], dtype=object)).format == "pickle"


def test_the_note_says_type_and_shape() -> None:
    encoded = encode(np.zeros((569, 30)))
    assert (encoded.kind, encoded.note) == ("numpy.ndarray", "float64 (569, 30)")


def test_element_types_that_the_format_cannot_name_are_pickled(trip: Trip) -> None:
    texts = np.array(["a", "bc"], dtype=np.dtypes.StringDType())
    assert trip(texts, "pickle", trusted=True).tolist() == ["a", "bc"]
