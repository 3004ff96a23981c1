"""The distance of two values: numbers may differ a little, and nothing else may differ at all."""

import math

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairway.formats.closeness import FAR, distance, place

SAME = [
    1,
    1.5,
    "text",
    None,
    True,
    [1, 2],
    {"a": [1.0]},
    np.ones(3),
    np.array([np.nan, np.inf]),
    pd.DataFrame({"a": [1.0]}),
]


@pytest.mark.parametrize("value", SAME, ids=repr)
def test_a_value_is_at_no_distance_from_itself(value: object) -> None:
    assert distance(value, value) == 0.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 1.0 + 1e-9),
        ([1.0, {"a": 2.0}], [1.0, {"a": 2.0 + 2e-9}]),
        (np.ones(4), np.ones(4) + 1e-9),
        (np.array([1.0, np.nan]), np.array([1.0 + 1e-9, np.nan])),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [1.0 + 1e-9]})),
        (pl.DataFrame({"a": [1.0]}), pl.DataFrame({"a": [1.0 + 1e-9]})),
        (1e9, 1e9 + 1.0),
    ],
)
def test_numbers_are_compared_by_their_relative_difference(one: object, other: object) -> None:
    assert math.isclose(distance(one, other), 1e-9, rel_tol=0.01)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (True, 1),
        ("a", "b"),
        ([1], [1, 2]),
        ([1], (1,)),
        ({"a": 1}, {"b": 1}),
        (math.nan, 1.0),
        (math.inf, 1e300),
        (np.ones(3), np.ones(4)),
        (np.ones(3), np.ones(3, dtype="float32")),
        (np.array([1.0, np.nan]), np.array([np.nan, 1.0])),
        (np.array([np.inf]), np.array([-np.inf])),
        (np.array(["a"]), np.array(["b"])),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})),
        (pd.DataFrame({"a": [1.0]}, index=[1]), pd.DataFrame({"a": [1.0]}, index=[2])),
    ],
)
def test_any_other_difference_is_far(one: object, other: object) -> None:
    assert distance(one, other) == FAR


def test_a_value_that_contains_itself_ends() -> None:
    one: list[object] = []
    one.append(one)
    other: list[object] = []
    other.append(other)
    assert distance(one, other) == FAR


class Inner(msgspec.Struct):
    digest: str
    note: str = ""


class Outer(msgspec.Struct):
    inner: object
    figures: dict[str, float]


def test_the_first_place_that_differs_is_named() -> None:
    one = Outer(Inner("a"), {"loss": 1.0})
    assert place(one, Outer(Inner("b", "n"), {"loss": 1.0})) == "inner.digest"
    assert place(one, Outer(Inner("a"), {"loss": 2.0})) == "figures.loss"
    assert place(one, Outer(None, {"loss": 1.0})) == "inner"
    assert place(one, Outer(Inner("a"), {"gain": 1.0})) == "figures"


@pytest.mark.parametrize(
    ("one", "other"), [(1, 2), ([1], [2]), ({"a": 1}, {"b": 1}), (Inner("a"), {"digest": "b"})]
)
def test_values_without_a_name_for_the_place_have_none(one: object, other: object) -> None:
    assert place(one, other) == ""
