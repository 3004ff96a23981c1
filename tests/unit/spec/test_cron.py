"""The five fields of cron, as people write them."""

import pytest

from fairway.spec.cron import parse
from fairway.spec.errors import UsageError


def test_each_form_of_a_field_is_read() -> None:
    found = parse("*/20 8-18/5 1,15 jan-mar mon,sun")
    assert found.minutes == {0, 20, 40}
    assert found.hours == {8, 13, 18}
    assert found.days == {1, 15}
    assert found.months == {1, 2, 3}
    assert found.weekdays == {0, 1}
    assert parse("5/20 * * * 7").minutes == {5, 25, 45}
    assert parse("0 0 * * 7").weekdays == {0}
    assert parse("@daily") == parse("0 0 * * *")


def test_one_kind_of_day_is_enough_if_both_are_given() -> None:
    both = parse("0 0 13 * fri")
    assert both.is_day(3, 13, 2)
    assert both.is_day(3, 12, 5)
    assert not both.is_day(3, 12, 4)
    assert not parse("0 0 13 * *").is_day(3, 12, 5)


@pytest.mark.parametrize(
    "text",
    [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
        "*/0 * * * *", "5-1 * * * *", "a * * * *", "1, * * * *", "-1 * * * *", "1-2-3 * * * *", "*/x * * * *", "@often",
        "0 0 31 feb *", "0 0 31 2,4,6 *", "１ * * * *", "* * * foo *", "1.5 * * * *",
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="the schedule") as refused:
        parse(text)
    assert refused.value.hint
