import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fairway.server import tensors
from fairway.server.answers import Answer, Refusal
from fairway.spec.model import Datatype, Feature, Signature, TensorSpec

SIZES = {"UINT8": "u1", "INT16": "i2", "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8"}


class Predictor:
    """Only what an answer needs of a model."""

    runtime = "none"

    def __init__(self, *outputs: TensorSpec) -> None:
        self.signature = signature(outputs=outputs)

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs


def signature(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = ()) -> Signature:
    return Signature(layout="columns", inputs=inputs, outputs=outputs)


def spec(datatype: Datatype = "FP32", shape: tuple[int, ...] = (-1, 2), name: str = "x") -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape)


def read(
    *inputs: dict[str, Any], wants: tuple[TensorSpec, ...] = (spec(),), rest: bytes = b""
) -> dict[str, Any]:
    text = json.dumps({"inputs": inputs}).encode()
    asked, binary = tensors.decode(text + rest, b"%d" % len(text) if rest else b"")
    return tensors.inputs_of(asked, binary, tensors.wanted_of(signature(*wants)))


def tensor(
    data: Any, shape: list[int] | None = None, datatype: str = "FP32", name: str = "x"
) -> dict[str, Any]:
    return {"name": name, "shape": [1, 2] if shape is None else shape, "datatype": datatype, "data": data}


def test_nested_and_flat_data_are_the_same() -> None:
    nested = read(tensor([[1, 2], [3, 4]], [2, 2]))["x"]
    flat = read(tensor([1, 2, 3, 4], [2, 2]))["x"]
    assert nested.dtype == np.float32
    assert nested.tolist() == flat.tolist() == [[1, 2], [3, 4]]


def test_one_column_may_come_with_a_second_dimension_of_one() -> None:
    assert read(tensor([1, 2], [2, 1]), wants=(spec(shape=(-1,)),))["x"].shape == (2,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (tensor([1, 2], [1, 3]), "must have the shape [-1, 2], not [1, 3]"),
        (tensor([1, 2, 3], [1, 2]), "has the shape [1, 2] and 3 values"),
        (tensor([1], [1, -1]), "impossible shape"),
        (tensor([], [0, 2]), "at least one row"),
        (tensor([1, 2], []), "must have the shape"),
        (tensor([1, [2, 3]]), "not a regular array"),
        (tensor(["a", "b"]), "is of type FP32, and its data is not"),
        (tensor([1, "x" * 1000]), "is of type FP32, and its data is not"),
        (tensor([[[1], [2]], [3, 4]]), "not a regular array"),
        (tensor([[["a"]], "b"], datatype="BYTES"), "not a regular array"),
        (tensor([1, None], datatype="BOOL"), "is of type BOOL, and its data is not"),
        (tensor([1, 1e39]), "a number that does not fit float32"),
        (tensor([1, 70000], datatype="UINT16"), "a number that does not fit UINT16"),
        (tensor([[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]), "not a regular array"),
        (tensor([True, False]), "is of type FP32, and its data is not"),
        (tensor(None), "has no data"),
        (tensor([1, 2], datatype="FP8"), "unknown datatype 'FP8'"),
        (tensor(["a", "b"], datatype="BYTES"), "must be of type FP32, not BYTES"),
        (tensor([1, 2], datatype="BYTES"), "must hold texts"),
        (tensor([1, 2], name="z"), "unknown input 'z'; the model takes x"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_the_reason(given: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(given)
    assert refused.value.status == 400
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"content_type": "base64"}, "the content_type 'base64' is not read"),
        ({"content_type": "str"}, "the content_type 'str' is not read"),
        ({"shared_memory_region": "r", "shared_memory_byte_size": 8}, "shared memory is not read"),
        ({"binary_data_size": 0}, "has data in JSON and in binary"),
    ],
)
def test_a_parameter_of_an_input_that_cannot_be_obeyed_is_refused(parameters: Any, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        read({**tensor([1, 2]), "parameters": parameters})
    assert (refused.value.status, said in refused.value.message) == (400, True)


def test_parameters_that_say_what_holds_anyway_or_mean_nothing_here_are_taken() -> None:
    plain = {"content_type": "np", "own": {"x": [1]}}
    assert read({**tensor([1, 2]), "parameters": plain})["x"].tolist() == [[1, 2]]
    text = {**tensor(["a"], [1], "BYTES"), "parameters": {"content_type": "str"}}
    assert read(text, wants=(spec("BYTES", (-1,)),))["x"].tolist() == ["a"]


def test_a_client_may_say_that_an_input_holds_dates_where_it_does() -> None:
    given = {**tensor(["2026-01-31"], [1], "BYTES"), "parameters": {"content_type": "datetime"}}
    body = json.dumps({"inputs": [given]}).encode()
    request, binary = tensors.decode(body, b"")
    dated = Signature(
        layout="columns",
        inputs=(spec("BYTES", (-1,)),),
        outputs=(),
        features=(Feature(name="x", kind="date"),),
    )
    wanted = tensors.wanted_of(dated)
    taken = tensors.inputs_of(request, binary, wanted, tensors.dates_of(dated))
    assert taken["x"].tolist() == ["2026-01-31"]
    with pytest.raises(Refusal, match="says that it holds dates, and the model takes none there"):
        tensors.inputs_of(request, binary, wanted)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"content_type": "base64"}, "is not read"),
        ({"sequence_id": 3}, "a sequence"),
        ({"sequence_id": "a"}, "a sequence"),
        ({"sequence_start": True}, "a sequence"),
    ],
)
def test_a_parameter_of_a_request_that_cannot_be_obeyed_is_refused(parameters: Any, said: str) -> None:
    request, rest = tensors.decode(
        json.dumps({"inputs": [tensor([1, 2])], "parameters": parameters}).encode(), b""
    )
    with pytest.raises(Refusal, match=said):
        tensors.inputs_of(request, rest, tensors.wanted_of(signature(spec())))


def test_null_is_nan_in_a_tensor_of_numbers_and_none_in_one_of_texts() -> None:
    for datatype in ("FP64", "FP32", "FP16", "INT64"):
        given = read(tensor([1, None], datatype=datatype), wants=(spec("FP64"),))["x"]
        assert given.dtype == np.float64
        assert np.isnan(given).tolist() == [[False, True]]
    texts = read(tensor(["a", None], [2], "BYTES"), wants=(spec("BYTES", (-1,)),))["x"]
    assert texts.tolist() == ["a", None]
    with pytest.raises(Refusal, match="its data is not"):
        read(tensor([1, None], datatype="INT64"), wants=(spec("INT64"),))


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT64", "UINT8", "UINT64"])
def test_numbers_of_every_datatype_come_in_json(datatype: Datatype) -> None:
    assert read(tensor([1, 2], datatype=datatype), wants=(spec(datatype),))["x"].tolist() == [[1, 2]]


def test_a_dimension_of_no_size_is_refused_whatever_the_other_says() -> None:
    with pytest.raises(Refusal, match="holds no values"):
        read(tensor([], [2**40, 0]), wants=(spec(shape=(-1, -1)),))


def test_columns_may_be_inputs_of_their_own() -> None:
    made = Signature(layout="tensor", inputs=(spec(),), outputs=(), columns=("a", "b"))
    wanted = tensors.columns_of(made)
    parts = [tensor([3, 4], [2, 1], name="b"), tensor([1, 2], [2], "INT64", name="a")]
    request, rest = tensors.decode(json.dumps({"inputs": parts}).encode(), b"")
    assert tensors.stacked(tensors.inputs_of(request, rest, wanted), made)["x"].tolist() == [[1, 3], [2, 4]]


def test_free_dimensions_take_any_size_but_no_negative_one() -> None:
    free = (spec(shape=(-1, -1, -1)),)
    assert read(tensor([1, 2, 3, 4], [1, 2, 2]), wants=free)["x"].shape == (1, 2, 2)
    with pytest.raises(Refusal, match="impossible shape"):
        read(tensor([1], [1, -1, -1]), wants=free)


def test_inputs_must_all_be_there_once_and_of_the_same_rows() -> None:
    two = (spec(shape=(-1,), name="a"), spec(shape=(-1,), name="b"))
    with pytest.raises(Refusal, match="'b' is missing"):
        read(tensor([1], [1], name="a"), wants=two)
    with pytest.raises(Refusal, match="given twice"):
        read(tensor([1], [1], name="a"), tensor([1], [1], name="a"), wants=two)
    with pytest.raises(Refusal, match="different numbers of rows"):
        read(tensor([1], [1], name="a"), tensor([1, 2], [2], name="b"), wants=two)


@pytest.mark.parametrize(
    ("value", "wants", "fits"),
    [
        (300, "UINT8", False),
        (-1, "UINT8", False),
        (255, "UINT8", True),
        (2**40, "INT32", False),
        (1.5, "INT32", False),
    ],
)
def test_a_number_goes_into_an_integer_only_where_it_fits(value: float, wants: Datatype, fits: bool) -> None:
    given = tensor([value], [1], datatype="FP64" if isinstance(value, float) else "INT64")
    if fits:
        assert read(given, wants=(spec(wants, (-1,)),))["x"].tolist() == [value]
    else:
        with pytest.raises(Refusal):
            read(given, wants=(spec(wants, (-1,)),))


@pytest.mark.parametrize("datatype", SIZES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_binary_data_arrives_bit_for_bit(datatype: Datatype, data: st.DataObject) -> None:
    sent = data.draw(arrays.arrays(f"<{SIZES[datatype]}", st.tuples(st.integers(1, 4), st.just(2))))
    raw = tensors.to_binary(sent, datatype)
    given = {
        "name": "x", "shape": list(sent.shape), "datatype": datatype,
        "parameters": {"binary_data_size": len(raw)},
    }  # fmt: skip
    assert read(given, wants=(spec(datatype),), rest=raw)["x"].tobytes() == raw == sent.tobytes()


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(), min_size=1, max_size=5))
def test_texts_arrive_as_they_were_in_both_encodings(texts: list[str]) -> None:
    wants = (spec("BYTES", (-1,)),)
    assert read(tensor(texts, [len(texts)], "BYTES"), wants=wants)["x"].tolist() == texts
    raw = tensors.to_binary(np.array(texts, dtype=object), "BYTES")
    given = {
        "name": "x", "shape": [len(texts)], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)},
    }  # fmt: skip
    assert read(given, wants=wants, rest=raw)["x"].tolist() == texts


@pytest.mark.parametrize(
    ("size", "shape", "raw", "said"),
    [
        (8, [1, 2], b"\0" * 7, "does not fit the body"),
        (-1, [1, 2], b"\0" * 8, "does not fit the body"),
        (4, [1, 2], b"\0" * 4, "needs 8 bytes, not 4"),
        (8, [1, 2], b"\0" * 9, "1 bytes behind the JSON part belong to no input"),
    ],
)
def test_binary_sizes_that_lie_are_refused(size: int, shape: list[int], raw: bytes, said: str) -> None:
    given = {"name": "x", "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": size}}
    with pytest.raises(Refusal, match=said):
        read(given, rest=raw)


@pytest.mark.parametrize("raw", [b"\5\0\0\0ab", b"\1\0\0\0", b"\2\0\0\0\xff\xfe", b"\1\0\0\0ab"])
def test_binary_texts_that_lie_are_refused(raw: bytes) -> None:
    given = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    with pytest.raises(Refusal):
        read(given, wants=(spec("BYTES", (-1,)),), rest=raw)


@pytest.mark.parametrize("length", [b"-1", b"x", b"99999", b"1e1", b"0" * 5000 + b"9"])
def test_a_length_of_the_json_part_that_lies_is_refused(length: bytes) -> None:
    with pytest.raises(Refusal, match="does not fit the body"):
        tensors.decode(b'{"inputs": []}', length)


def outputs_for(asked: dict[str, Any]) -> tuple[Answer, dict[str, Any]]:
    request, _ = tensors.decode(json.dumps({"inputs": [], **asked}).encode(), b"")
    predictor = Predictor(spec("INT64", (-1,), "label"), spec("FP32", (-1, 2), "p"))
    made = {"label": np.array([7]), "p": np.array([[0.25, 0.75]], dtype=np.float32)}
    answer = tensors.answer(request, made, predictor, "toy", "3")
    length = dict(answer.headers).get(b"inference-header-content-length")
    return answer, json.loads(answer.body[: int(length)] if length else answer.body)


def test_an_answer_has_every_output_and_the_request_s_id() -> None:
    answer, said = outputs_for({"id": "a1"})
    assert (said["model_name"], said["model_version"], said["id"]) == ("toy", "3", "a1")
    assert [(out["name"], out["shape"], out["data"]) for out in said["outputs"]] == [
        ("label", [1], [7]),
        ("p", [1, 2], [0.25, 0.75]),
    ]
    assert dict(answer.headers)[b"content-length"] == b"%d" % len(answer.body)


def test_what_a_client_leaves_open_in_words_is_left_open() -> None:
    plain = outputs_for({})[1]
    assert "id" not in plain
    assert outputs_for({"id": None, "parameters": None, "outputs": None})[1] == plain
    assert outputs_for({"outputs": []})[1] == plain, "no choice is no wish for nothing"
    assert (
        outputs_for({"outputs": [], "parameters": {"binary_data_output": True}})[1]["outputs"][1]["name"]
        == "p"
    )


def test_chosen_outputs_come_in_the_order_and_the_encoding_that_was_asked_for() -> None:
    answer, said = outputs_for(
        {"outputs": [{"name": "p", "parameters": {"binary_data": True}}, {"name": "label"}]}
    )
    assert [out["name"] for out in said["outputs"]] == ["p", "label"]
    assert said["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert answer.body.endswith(np.array([0.25, 0.75], dtype="<f4").tobytes())
    with pytest.raises(Refusal, match="unknown output 'q'; the model gives label, p"):
        outputs_for({"outputs": [{"name": "q"}]})
    with pytest.raises(Refusal, match="output 'p' is asked for twice"):
        outputs_for({"outputs": [{"name": "p"}, {"name": "p"}]})
    with pytest.raises(Refusal, match="classification is not offered"):
        outputs_for({"outputs": [{"name": "p", "parameters": {"classification": 1}}]})


def test_all_outputs_are_binary_when_the_request_says_so() -> None:
    answer, said = outputs_for({"parameters": {"binary_data_output": True}})
    assert [out["parameters"]["binary_data_size"] for out in said["outputs"]] == [8, 8]
    assert len(answer.body) == int(dict(answer.headers)[b"inference-header-content-length"]) + 16
