"""Stored samples as rows."""

import msgspec
import pytest

from fairway.pages.samples import rows_of
from fairway.spec.errors import SerializationError
from fairway.spec.model import Signature, TensorSpec


def stored(inputs: object, outputs: object) -> bytes:
    return msgspec.json.encode({"inputs": inputs, "outputs": outputs})


SIGNATURE = Signature(
    layout="tensor",
    inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 2)),),
    outputs=(TensorSpec(name="prediction", datatype="INT64"),),
    columns=("age", "visits"),
)
PREDICTION = {"prediction": {"datatype": "INT64", "shape": [2], "data": [0, 1]}}


def test_a_matrix_becomes_a_column_for_each_feature() -> None:
    content = stored({"input": {"datatype": "FP64", "shape": [2, 2], "data": [1, 2, 3, 4]}}, PREDICTION)
    found = rows_of(content, SIGNATURE)
    assert (found.inputs, found.outputs) == (["age", "visits"], ["prediction"])
    assert found.rows == [[1, 2, 0], [3, 4, 1]]


def test_a_deep_array_is_one_column_of_nested_lists() -> None:
    data = list(range(8))
    content = stored({"input": {"datatype": "FP64", "shape": [2, 2, 2], "data": data}}, PREDICTION)
    assert rows_of(content, SIGNATURE).rows == [[[[0, 1], [2, 3]], 0], [[[4, 5], [6, 7]], 1]]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"inputs": 3}', stored({}, {}), stored({"input": {"shape": [], "data": []}}, PREDICTION),
     stored({"input": {"datatype": "FP64", "shape": [3, 2], "data": [1]}}, PREDICTION)],
)  # fmt: skip
def test_what_is_no_sample_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(SerializationError, match="cannot be read"):
        rows_of(content, SIGNATURE)
