from typing import Any

import numpy as np
import pytest

from fairway.formats import nullable_columns, outputs_to_rows, refuse_missing, rows_to_inputs
from fairway.spec.errors import UsageError
from fairway.spec.model import Signature, TensorSpec

OUT = (
    TensorSpec(name="prediction", datatype="INT64"),
    TensorSpec(name="probabilities", datatype="FP64", shape=(-1, 2)),
)
TABLE = Signature(
    layout="tensor",
    inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 2)),),
    outputs=OUT,
    columns=("age", "wage"),
    classes=("no", "yes"),
)
MIXED = Signature(
    layout="columns",
    inputs=(
        TensorSpec(name="age", datatype="INT64"),
        TensorSpec(name="wage", datatype="FP32"),
        TensorSpec(name="city", datatype="BYTES"),
        TensorSpec(name="member", datatype="BOOL"),
    ),
    outputs=(TensorSpec(name="prediction", datatype="FP64"),),
    columns=("age", "wage", "city", "member"),
)
IMAGE = Signature(
    layout="tensor", inputs=(TensorSpec(name="input", datatype="FP32", shape=(-1, 2, 2)),), outputs=OUT[:1]
)
ROW: dict[str, Any] = {"age": 20, "wage": 1.5, "city": "a", "member": True}


def test_objects_by_name_in_any_order() -> None:
    array = rows_to_inputs(TABLE, [{"wage": 2.5, "age": 1}, {"age": 3, "wage": 4}])["input"]
    assert array.tolist() == [[1.0, 2.5], [3.0, 4.0]]
    assert array.dtype == np.float64


def test_lists_by_position() -> None:
    assert rows_to_inputs(TABLE, [[1, 2], [3, 4]])["input"].tolist() == [[1, 2], [3, 4]]
    inputs = rows_to_inputs(MIXED, [[20, 1.5, "a", True]])
    assert [inputs[name].tolist() for name in MIXED.columns] == [[20], [1.5], ["a"], [True]]
    assert [inputs[name].dtype.str for name in MIXED.columns] == ["<i8", "<f4", "|O", "|b1"]


def test_single_values_for_one_feature() -> None:
    one = Signature(
        layout="tensor", inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 1)),), outputs=OUT[:1]
    )
    assert rows_to_inputs(one, [1, 2.5])["input"].tolist() == [[1.0], [2.5]]
    assert rows_to_inputs(one, [[1], [2.5]])["input"].tolist() == [[1.0], [2.5]]
    text = Signature(layout="tensor", inputs=(TensorSpec(name="input", datatype="BYTES"),), outputs=OUT[:1])
    assert rows_to_inputs(text, ["a", "b"])["input"].tolist() == ["a", "b"]


def test_arrays_of_any_shape() -> None:
    array = rows_to_inputs(IMAGE, [[[1, 2], [3, 4]], [[5, 6], [7, 8.5]]])["input"]
    assert array.shape == (2, 2, 2)
    assert array.dtype == np.float32


@pytest.mark.parametrize(
    ("signature", "rows", "message"),
    [
        (TABLE, [], "at least one row"),
        (TABLE, {"age": 1}, "list of at least one row"),
        (TABLE, [{"age": 1}], "row 0: field 'wage' is missing"),
        (
            TABLE,
            [{"age": 1, "wage": 2}, {"age": 1, "wage": 2, "x": 3}],
            "row 1: field 'x' is not known to the model",
        ),
        (TABLE, [{"age": 1, "wage": "2"}], "row 0: field 'wage' needs a number (FP64), not '2'"),
        (TABLE, [{"age": 1, "wage": None}], "row 0: field 'wage' needs a number (FP64), not null"),
        (TABLE, [{"age": [1], "wage": 2}], "row 0: field 'age' needs a number (FP64), not [1]"),
        (TABLE, [[1, 2], [1, 2, 3]], "row 1: has 3 values instead of 2"),
        (TABLE, [1], "row 0: is a single value, but the model takes 2 fields"),
        (TABLE, [[10**400, 1]], "row 0: field 'age' is out of the range of FP64"),
        (MIXED, [{**ROW, "age": 1.5}], "row 0: field 'age' needs a whole number (INT64), not 1.5"),
        (MIXED, [{**ROW, "age": True}], "row 0: field 'age' needs a whole number (INT64), not True"),
        (MIXED, [{**ROW, "age": 2**63}], "row 0: field 'age' is out of the range of INT64"),
        (MIXED, [ROW, {**ROW, "wage": 1e39}], "row 1: field 'wage' is out of the range of FP32"),
        (IMAGE, [[[1, 2], [3, -1e39]]], "row 0: holds a number that is out of the range of FP32"),
        (MIXED, [ROW, {**ROW, "city": 3}], "row 1: field 'city' needs text (BYTES), not 3"),
        (MIXED, [{**ROW, "city": None}], "row 0: field 'city' needs text (BYTES), not null"),
        (MIXED, [{**ROW, "member": 1}], "row 0: field 'member' needs true or false (BOOL), not 1"),
        (
            IMAGE,
            [[[1, 2], [3, 4]], [[1, 2]]],
            "row 1: has the shape [1, 2]; the model takes FP32 of shape [2, 2]",
        ),
        (IMAGE, [[1, 2]], "row 0: has the shape [2]; the model takes FP32 of shape [2, 2]"),
        (IMAGE, [[[1, 2], [3, "x"]]], "row 0: holds values that are not FP32 of shape [2, 2]"),
        (
            IMAGE,
            [[[1, 2, 3], [3, 4, 5]]],
            "row 0: has the shape [2, 3]; the model takes FP32 of shape [2, 2]",
        ),
    ],
)
def test_refusals_name_row_field_and_type(signature: Signature, rows: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        rows_to_inputs(signature, rows)
    assert message in str(error.value)


def test_a_whole_number_may_be_written_as_a_float() -> None:
    assert rows_to_inputs(MIXED, [{**ROW, "age": 20.0}])["age"].tolist() == [20]


def test_null_is_taken_only_where_the_sample_had_missing_values() -> None:
    sample = {
        "age": np.array([1, 2]),
        "wage": np.array([np.nan, 1], dtype="f4"),
        "city": np.array(["a", None], dtype=object),
        "member": np.array([True, False]),
    }
    nullable = nullable_columns(MIXED, sample)
    assert nullable == {"wage", "city"}
    inputs = rows_to_inputs(MIXED, [{**ROW, "wage": None, "city": None}], nullable)
    assert np.isnan(inputs["wage"][0])
    assert inputs["city"][0] is None
    with pytest.raises(UsageError, match="'age' needs a whole number"):
        rows_to_inputs(MIXED, [{**ROW, "age": None}], frozenset({"age"}))
    assert nullable_columns(TABLE, {"input": np.array([[1.0, np.nan]])}) == {"wage"}


def test_nan_in_binary_tensors_is_refused_by_name() -> None:
    bad = {"input": np.array([[1.0, 2.0], [3.0, np.nan]])}
    with pytest.raises(UsageError, match="row 1: field 'wage' is missing"):
        refuse_missing(TABLE, bad)
    refuse_missing(TABLE, bad, frozenset({"wage"}))
    refuse_missing(TABLE, {"input": np.ones((2, 2))})


def test_answers_as_rows() -> None:
    outputs = {"prediction": np.array([0, 1]), "probabilities": np.array([[0.75, 0.25], [0.5, 0.5]])}
    assert outputs_to_rows(TABLE, outputs) == [
        {"prediction": 0, "probabilities": {"no": 0.75, "yes": 0.25}},
        {"prediction": 1, "probabilities": {"no": 0.5, "yes": 0.5}},
    ]
    assert outputs_to_rows(MIXED, {"prediction": np.array([1.5, 2.5])}) == [1.5, 2.5]
