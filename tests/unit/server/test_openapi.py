from typing import Any

import pytest

from fairway.server import openapi
from fairway.spec.model import Signature, TensorSpec


def signature(**given: Any) -> Signature:
    outputs = (TensorSpec(name="prediction", datatype="INT64"),)
    return Signature(**{"layout": "columns", "inputs": (), "outputs": outputs, **given})


def test_every_path_says_how_it_is_asked_and_what_errors_look_like() -> None:
    row = {"type": "object"}
    many: Any = openapi.one_or_many(row)
    described = openapi.describe("toy", "3", many, {"type": "integer"}, example={"a": 1})
    assert "/v2/models/toy/infer" not in str(described)
    document: Any = openapi.with_tensors(described, "toy")
    assert document["info"] == {"title": "toy", "version": "3"}
    assert set(document["paths"]) >= {"/", "/v2/models/toy", "/v2/models/toy/infer", "/v2/health/ready"}
    body = document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"] == {"a": 1}
    assert body["schema"]["anyOf"] == [row, {"type": "array", "items": row, "minItems": 1}]
    for path in document["paths"].values():
        for operation in path.values():
            assert "200" in operation["responses"]


def test_a_key_is_asked_for_only_where_there_is_one() -> None:
    assert "security" not in openapi.describe("toy", "1", {}, {})
    private: Any = openapi.describe("toy", "1", {}, {}, private=True)
    (scheme,) = private["security"][0]
    assert private["components"]["securitySchemes"][scheme]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("datatype", "word"), [("FP32", "number"), ("INT64", "integer"), ("BOOL", "boolean"), ("BYTES", "string")]
)
def test_a_row_names_its_columns_with_their_types(datatype: Any, word: str) -> None:
    row: Any = openapi.row_schema(signature(inputs=(TensorSpec(name="age", datatype=datatype),)))
    text = str(row)
    assert "'age'" in text
    assert f"'type': '{word}'" in text


def test_a_classifier_s_probabilities_are_an_object_by_class() -> None:
    outputs = (
        TensorSpec(name="prediction", datatype="BYTES"),
        TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2)),
    )
    answer: Any = openapi.answer_schema(signature(outputs=outputs, classes=("stays", "leaves")))
    assert answer["properties"]["prediction"] == {"type": "string"}
    assert answer["properties"]["probabilities"]["type"] == "object"
    unnamed: Any = openapi.answer_schema(signature(outputs=outputs))
    assert unnamed["properties"]["probabilities"]["minItems"] == 2
