"""What the annotations of an endpoint's function let in, and how its answers are written."""

import json
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest

import fairway as fw
from fairway.author.endpoint import Endpoint
from fairway.server import results
from fairway.server.answers import Refusal
from fairway.server.parameters import Field, Parameters
from fairway.server.schemas import schema_of


def converted(annotation: Any, given: Any, name: str = "rows") -> Any:
    return Field(name, annotation, True).converted(json.dumps(given).encode())


@pytest.mark.parametrize(
    ("annotation", "given", "wanted"),
    [
        (np.ndarray, [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])),
        (np.ndarray, 3, np.array(3)),
        (npt.NDArray[np.float32], [1, 2.5], np.array([1, 2.5], np.float32)),
        (npt.NDArray[np.float32], [1, 2], np.array([1, 2], np.float32)),
        (npt.NDArray[np.int64], [1, 2], np.array([1, 2])),
        (npt.NDArray[np.str_], ["a", "b"], np.array(["a", "b"])),
        (npt.NDArray[np.int64], [], np.array([], np.int64)),
        (npt.NDArray[Any], [True], np.array([True])),
    ],
)
def test_an_array_has_the_element_type_of_its_annotation(annotation: Any, given: Any, wanted: Any) -> None:
    seen: Any = converted(annotation, given)
    assert seen.dtype == wanted.dtype
    assert np.array_equal(seen, wanted)


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        (npt.NDArray[np.float32], ["a"]),
        (npt.NDArray[np.float32], [None]),
        (npt.NDArray[np.float32], None),
        (npt.NDArray[np.int64], [1.5]),
        (np.ndarray, [[1, 2], [3]]),
        (npt.NDArray[np.float32], ["x" * 1000, *["a"] * 100]),
        (np.ndarray, ["x" * 100_000, *["a"] * 1000]),
        (np.ndarray, ["x" * 1000, *[1] * 1000]),
        (pd.DataFrame, [{f"k{number}": 1} for number in range(1000)]),
        (pd.DataFrame, [[1] * 1000, *[[1]] * 1000]),
        (np.ndarray, {"a": 1}),
        (np.ndarray, [{"a": 1}]),
        (pd.DataFrame, 3),
        (pd.DataFrame, "x"),
        (pd.DataFrame, None),
        (pd.DataFrame, [1, 2]),
    ],
)
def test_what_is_no_such_array_or_frame_is_refused(annotation: Any, given: Any) -> None:
    with pytest.raises(Refusal) as refused:
        converted(annotation, given)
    assert refused.value.status == 400
    assert "field 'rows'" in str(refused.value)


@pytest.mark.parametrize("given", [[{"a": 1}], {"a": 1}, [[1]]])
def test_a_frame_is_read_from_rows(given: Any) -> None:
    seen: Any = converted(pd.DataFrame, given)
    assert seen.to_numpy().tolist() == [[1]]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (pd.Series([1, 2]), [1, 2]),
        (pd.Series([1, 2], ["a", "b"]), {"a": 1, "b": 2}),
        (pd.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
        (pl.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
        (pl.Series([1, 2]), [1, 2]),
        (np.array([[1.5]]), [[1.5]]),
    ],
)
def test_tables_are_answered_as_rows_and_columns_as_lists(answer: Any, text: Any) -> None:
    assert json.loads(results.encoded(answer)) == text


def test_a_decimal_is_read_as_it_was_written() -> None:
    read = Field("x", Decimal, True).converted(b"12345678901234567890.12")
    assert read == Decimal("12345678901234567890.12")


def test_arrays_and_frames_are_described() -> None:
    assert schema_of(pd.DataFrame)["type"] == "array"
    assert schema_of(npt.NDArray[np.float32])["type"] == ["array", "number"]


def test_limits_in_an_annotation_are_checked() -> None:
    def plain(age: Annotated[int, msgspec.Meta(ge=1)]) -> int:
        return age

    def many(ages: list[Annotated[int, msgspec.Meta(ge=1)]]) -> Annotated[list[int], "years"]:
        return ages

    one, several = (Endpoint(each, each.__name__, 1, False) for each in (plain, many))
    assert (one.batched, several.batched) == (False, True)
    for endpoint in (one, several):
        assert converted(endpoint.request_type, 1) == 1
        assert schema_of(endpoint.request_type)["minimum"] == 1
        with pytest.raises(Refusal, match=">= 1"):
            converted(endpoint.request_type, 0)


def test_an_object_of_lists_is_the_columns_of_a_frame() -> None:
    read = Field("data", pd.DataFrame, True).converted
    assert read(b'{"a": [1, 2], "b": ["x", "y"]}').to_dict("records") == [  # type: ignore[attr-defined]
        {"a": 1, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    with pytest.raises(Refusal, match="columns of one length"):
        read(b'{"a": [1, 2], "b": [3]}')


def test_moments_and_missing_values_of_a_frame_are_answered_as_text_and_null() -> None:
    whole = pd.array([1, None], dtype="Int64")
    days = pd.to_datetime(["2026-01-31 12:00", None])
    frame = pd.DataFrame({"n": whole, "day": days, "took": days - days[0], "month": days.to_period("M")})
    assert json.loads(results.encoded(frame)) == [
        {"n": 1, "day": "2026-01-31T12:00:00", "took": "P0DT0H0M0S", "month": "2026-01"},
        {"n": None, "day": None, "took": None, "month": None},
    ]


def test_what_python_writes_for_a_missing_number_is_refused_with_a_hint() -> None:
    with pytest.raises(Refusal, match="not valid JSON") as refused:
        Field("x", float, True).converted(b"NaN")
    assert "send null for a missing value" in refused.value.hint


def test_the_name_of_the_only_parameter_around_its_value_is_told() -> None:
    @fw.endpoint
    def greet(name: str) -> str:
        return name

    parameters = Parameters(greet)
    assert parameters.from_json(b'"Ada"') == ("Ada",)
    with pytest.raises(Refusal, match="Expected `str`") as refused:
        parameters.from_json(b'{"name": "Ada"}')
    assert refused.value.hint == "the body is the value of `name` itself, without its name"
