"""The number of replicas as people write it."""

import pytest

from fairway.spec.errors import UsageError
from fairway.spec.quantities import MOST_REPLICAS, Bounds


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("3", 3, 3),
        ("1-10", 1, 10),
        (" 2 ", 2, 2),
        (f"{MOST_REPLICAS}", MOST_REPLICAS, MOST_REPLICAS),
        ("4-4", 4, 4),
    ],
)
def test_a_number_or_two_are_read(text: str, low: int, high: int) -> None:
    assert Bounds.parse(text) == Bounds(low, high)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "1-",
        "-",
        "10-1",
        "0-3",
        f"{MOST_REPLICAS + 1}",
        f"1-{MOST_REPLICAS + 1}",
        "1.5",
        "1-2-3",
        "٣",
        "9" * 5000,
    ],
)
def test_other_texts_are_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Bounds.parse(text)
    assert "`--replicas 2`" in refused.value.hint
    assert len(refused.value.message) < 200


def test_python_says_it_with_a_number_or_a_pair() -> None:
    assert (Bounds.of(3), Bounds.of((1, 10))) == (Bounds(3, 3), Bounds(1, 10))


@pytest.mark.parametrize(
    "value", [0, True, "3", 1.0, (1,), (1, 2, 3), (1, "2"), (3, 1), [1, 2], None, 10**30]
)
def test_other_values_of_python_are_refused(value: object) -> None:
    with pytest.raises(UsageError):
        Bounds.of(value)


def test_bounds_are_shown_as_they_are_typed() -> None:
    assert [str(Bounds.parse(text)) for text in ("3", "1-10")] == ["3", "1-10"]
