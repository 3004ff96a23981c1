"""The form for a request: made from a signature or a schema, and read back as JSON."""

from typing import Any

import pytest

from fairway.pages.question_form import FormField, body_of, filled, of_schema, of_signature, skeleton
from fairway.spec.errors import UsageError
from fairway.spec.model import Feature, Signature, TensorSpec

COLUMNS = Signature(
    layout="columns",
    inputs=(
        TensorSpec(name="age", datatype="INT64"),
        TensorSpec(name="city", datatype="BYTES"),
        TensorSpec(name="member", datatype="BOOL"),
        TensorSpec(name="since", datatype="BYTES"),
    ),
    outputs=(TensorSpec(name="prediction", datatype="INT64"),),
    columns=("age", "city", "member", "since"),
    features=(
        Feature(name="city", categories=("Berlin", "Rom", 3)),
        Feature(name="since", kind="date", nullable=True),
    ),
)
NAMES = ("age", "city", "member", "since")


def test_each_column_becomes_a_field_of_its_kind_filled_with_the_sample() -> None:
    fields = of_signature(COLUMNS, [41, "Rom", True, None], NAMES)
    assert [(field.name, field.kind, field.value) for field in fields] == [
        ("age", "number", "41"),
        ("city", "choice", '"Rom"'),
        ("member", "choice", "true"),
        ("since", "text", ""),
    ]
    assert fields[1].choices == ('"Berlin"', '"Rom"', "3")
    assert body_of(fields) == {"age": 41, "city": "Rom", "member": True, "since": None}


def test_what_a_person_types_is_sent_as_its_kind() -> None:
    fields = of_signature(COLUMNS, [41, "Rom", True, None], NAMES)
    typed = filled(fields, {"f0": "7", "f1": "3", "f2": "false", "f3": "2026-01-02"})
    assert body_of(typed) == {"age": 7, "city": 3, "member": False, "since": "2026-01-02"}


@pytest.mark.parametrize("text", ["many", "1,5", "NaN", "<script>", "0x10"])
def test_what_is_no_number_is_sent_as_typed_so_that_the_endpoint_says_what_is_wrong(text: str) -> None:
    fields = filled(of_signature(COLUMNS, [41, "Rom", True, None], NAMES), {"f0": text})
    assert body_of(fields)["age"] == text  # type: ignore[index]


def test_a_picture_is_one_field_with_the_row_as_json() -> None:
    signature = Signature(
        layout="tensor",
        inputs=(TensorSpec(name="input", datatype="FP32", shape=(-1, 2, 2)),),
        outputs=(TensorSpec(name="prediction", datatype="INT64"),),
    )
    fields = of_signature(signature, [[[1, 2], [3, 4]]], ["input"])
    assert [(field.name, field.kind) for field in fields] == [("", "json")]
    assert body_of(fields) == [[1, 2], [3, 4]]


def test_an_array_without_names_is_one_field() -> None:
    signature = Signature(
        layout="tensor",
        inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 3)),),
        outputs=(TensorSpec(name="prediction", datatype="INT64"),),
    )
    assert body_of(of_signature(signature, [1.5, 2, 3], ["input 0", "input 1", "input 2"])) == [1.5, 2, 3]


def test_a_function_gets_a_field_for_each_parameter_and_its_defaults_stay_its_own() -> None:
    house: dict[str, Any] = {"type": "object", "properties": {"rooms": {"type": "integer"}}}
    schema = {
        "type": "object",
        "required": ["house", "name"],
        "properties": {
            "house": house,
            "name": {"type": "string"},
            "factor": {"type": "number"},
            "mode": {"enum": ["a", "b"], "default": "b"},
        },
    }
    fields = of_schema(schema)
    assert [(field.name, field.kind, field.optional) for field in fields] == [
        ("house", "json", False),
        ("name", "text", False),
        ("factor", "number", True),
        ("mode", "choice", True),
    ]
    assert body_of(fields) == {"house": {"rooms": 0}, "name": "", "mode": "b"}
    assert body_of(filled(fields, {"f2": "2.5"})) == {
        "house": {"rooms": 0},
        "name": "",
        "mode": "b",
        "factor": 2.5,
    }


def test_a_lone_value_is_the_whole_request() -> None:
    assert body_of(of_schema({"type": "number"})) == 0
    assert body_of([FormField(name="", kind="json", value="[1, 2]")]) == [1, 2]


def test_what_is_not_json_where_json_is_needed_is_refused_with_the_name_of_the_field() -> None:
    with pytest.raises(UsageError, match="the field house is not JSON"):
        body_of([FormField(name="house", kind="json", value="{rooms: 1}"), FormField(name="x", kind="text")])


def test_a_schema_without_end_gets_a_small_example() -> None:
    endless: dict[str, Any] = {"type": "object", "properties": {}}
    endless["properties"]["next"] = endless
    assert "next" in str(skeleton(endless))
    assert skeleton({"type": ["null", "integer"]}) is None
    assert skeleton({"anyOf": [{"type": "array", "items": {"type": "string"}}]}) == [""]
