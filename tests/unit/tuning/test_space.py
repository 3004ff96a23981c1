"""The space of a search as people write it."""

import pytest

from fairway.spec.errors import UsageError
from fairway.tuning.space import Choice, Range, fits, meant, parse


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([1, "a", None], Choice((1, "a", None))),
        ((1, 10), Range(low=1, high=10, whole=True)),
        ((0.0, 1.0), Range(low=0, high=1, whole=False)),
        ((1, 1.5), Range(low=1, high=1.5, whole=False)),
        ((1e-4, 1e-1, "log"), Range(low=1e-4, high=1e-1, whole=False, log=True)),
        ((1, 100, "log"), Range(low=1, high=100, whole=True, log=True)),
        ((0, 1, 0.25), Range(low=0, high=1, whole=False, step=0.25)),
        (range(2, 9), Range(low=2, high=8, whole=True, step=1)),
        (range(2, 9, 3), Range(low=2, high=8, whole=True, step=3)),
    ],
)
def test_each_form_of_a_parameter_is_read(written: object, read: object) -> None:
    assert parse({"x": written}) == {"x": read}


@pytest.mark.parametrize(
    "written",
    [
        [], (), (1,), (1, 1), (2, 1), (0, 1, "log"), (1, 2, 3, 4), (1, "a"), ("log", 1, 2), (1, 2, 0), (1, 2, -1),
        (float("nan"), 1), (0, float("inf")), (True, 2), "abc", 3, None, range(0), range(9, 2, -1), {1, 2}, (1, 2, "lg"),
    ],
)  # fmt: skip
def test_what_is_no_choice_and_no_range_is_refused_with_the_forms(written: object) -> None:
    with pytest.raises(UsageError, match="search: x") as refused:
        parse({"x": written})
    assert refused.value.hint


@pytest.mark.parametrize("space", [{}, None, [("x", (1, 2))], 7])
def test_a_space_is_a_dict_with_parameters(space: object) -> None:
    with pytest.raises(UsageError, match="the space"):
        parse(space)


def test_a_choice_is_recorded_as_its_place_so_that_anything_can_be_chosen() -> None:
    assert meant(parse({"x": [int, (1, 2)]})["x"], 1) == (1, 2)
    assert meant(parse({"x": (1, 5)})["x"], 3.0) == 3


def test_numbers_on_record_fit_only_the_space_that_they_are_from() -> None:
    space = parse({"x": (0.0, 1.0), "kind": ["a", "b"]})
    assert fits(space, {"x": 0.5, "kind": 1})
    assert not fits(space, {"x": 0.5})
    assert not fits(space, {"x": 0.5, "kind": 2})
    assert not fits(space, {"x": 1.5, "kind": 1})
