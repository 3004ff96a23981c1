import numpy as np
import pytest

from fairway.formats import decode_samples, encode_samples
from fairway.formats.models.samples import read_sample
from fairway.spec.errors import SerializationError


def test_samples_come_back_exactly() -> None:
    inputs = {
        "input": np.array([[0.1, np.nan], [np.inf, -0.0]], dtype=np.float32),
        "city": np.array(["a", None], dtype=object),
        "n": np.array([2**63, 1], dtype=np.uint64),
    }
    outputs = {"prediction": np.array([True, False]), "p": np.zeros((2, 0))}
    again_in, again_out = decode_samples(encode_samples(inputs, outputs))
    for wanted, got in ((inputs, again_in), (outputs, again_out)):
        assert list(got) == list(wanted)
        for name, array in wanted.items():
            assert got[name].dtype == array.dtype
            assert got[name].shape == array.shape
            assert got[name].tolist() == array.tolist() or np.array_equal(got[name], array, equal_nan=True)


def test_samples_are_readable() -> None:
    data = encode_samples({"a": np.array([1.5])}, {"prediction": np.array([2])})
    assert data == (
        b'{"inputs":{"a":{"datatype":"FP64","shape":[1],"data":[1.5]}},'
        b'"outputs":{"prediction":{"datatype":"INT64","shape":[1],"data":[2]}}}'
    )


@pytest.mark.parametrize("data", [b"", b"[]", b'{"inputs":{}}', b'{"inputs":{"a":{}},"outputs":{}}'])
def test_damaged_samples(data: bytes) -> None:
    with pytest.raises(SerializationError):
        decode_samples(data)


def test_at_most_32_rows_and_fewer_of_large_ones() -> None:
    assert len(read_sample(np.zeros((100, 2))).arrays["input"]) == 32
    assert len(read_sample(np.zeros((100, 3, 100, 100))).arrays["input"]) == 6
    assert len(read_sample(np.zeros((3, 1000, 1000))).arrays["input"]) == 1
