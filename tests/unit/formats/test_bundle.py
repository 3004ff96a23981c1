import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairway.formats import Encoded, decode, encode
from fairway.spec.errors import SerializationError

Trip = Callable[..., Any]


@dataclasses.dataclass
class Split:
    data: np.ndarray
    names: list[str]


def test_a_container_of_arrays_and_tables_needs_no_pickle(trip: Trip) -> None:
    array, frame = np.arange(50_000.0), pd.DataFrame({"a": range(20_000), "b": ["x", "y"] * 10_000})
    value = {"x": array, "parts": [frame, (array[:3], None)], 3: "three"}
    again = trip(value, "bundle")
    assert list(again) == ["x", "parts", 3]
    assert (again["x"] == array).all()
    pd.testing.assert_frame_equal(again["parts"][0], frame)
    assert type(again["parts"][1]) is tuple


def test_a_record_with_arrays(trip: Trip) -> None:
    again = trip(Split(np.arange(3), ["a"]), "bundle")
    assert type(again) is Split
    assert again.data.tolist() == [0, 1, 2]


def test_small_leaves_stay_inside() -> None:
    encoded = encode([np.arange(3), np.arange(4)])
    assert encoded.format == "bundle"
    assert encoded.data is not None
    assert encoded.note == "2 items, 2 parts"


def test_many_large_leaves_are_two_files(keep: Callable[[Encoded], Any]) -> None:
    arrays = [np.full(1000, n) for n in range(200)]
    path = keep(encode(arrays))
    assert sorted(file.name for file in path.iterdir()) == ["leaves.bin", "value.json"]
    again: Any = decode("bundle", path, "list")
    assert all((one == other).all() for one, other in zip(again, arrays, strict=True))
    again[0][0] = 7
    assert decode("bundle", path, "list")[0][0] == 0  # pyright: ignore


def test_a_shared_leaf_is_stored_once_and_shared_again(trip: Trip) -> None:
    array = np.arange(10_000)
    again = trip([array, array], "bundle")
    assert again[0] is again[1]


def test_equal_containers_have_equal_content(keep: Callable[[Encoded], Any]) -> None:
    one, other = (keep(encode({"a": np.arange(9000), "b": np.arange(2)})) for _ in range(2))
    for name in ("leaves.bin", "value.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_container_with_a_leaf_that_has_no_format_is_pickled_as_a_whole() -> None:
    assert encode([np.arange(3), lambda: 1]).format == "pickle"


def test_damaged_parts_are_an_error(keep: Callable[[Encoded], Any]) -> None:
    path: Path = keep(encode([np.arange(9000)]))
    leaves = path / "leaves.bin"
    whole = leaves.read_bytes()
    for damaged in (b"", whole[:-4], whole[:-24] + b"\xff" * 24, whole[:100]):
        leaves.write_bytes(damaged)
        with pytest.raises(SerializationError):
            decode("bundle", path, "list")
    leaves.write_bytes(whole)
    text = (path / "value.json").read_bytes()
    (path / "value.json").write_bytes(text.replace(b'"place":0', b'"place":7'))
    with pytest.raises(SerializationError):
        decode("bundle", path, "list")
