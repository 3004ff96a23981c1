"""How people write amounts, and how they are written for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fairway.spec.errors import UsageError
from fairway.spec.quantities import (
    Resources,
    format_duration,
    format_memory,
    parse_cpu,
    parse_duration,
    parse_memory,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2Gi", 2**31),
        ("512Mi", 2**29),
        ("1.5G", 1_500_000_000),
        ("64k", 64_000),
        ("10 MB", 10**7),
        (7, 7),
        ("0", 0),
    ],
)
def test_memory_is_read_as_kubernetes_writes_it(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(("text", "cores"), [(2, 2.0), (0.5, 0.5), ("500m", 0.5), ("3", 3.0)])
def test_cores_are_whole_or_parts(text: str | float, cores: float) -> None:
    assert parse_cpu(text) == cores


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("250ms", 0.25), ("1d", 86400), (5, 5), ("1h 5m", 3900)],
)
def test_durations_are_read_in_parts(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "wrong", ["", "many", "-1", -1, "2 apples", True, "1e400", float("inf"), float("nan")]
)
def test_what_is_no_amount_is_refused_with_an_example(wrong: str | float) -> None:
    for parse, name in ((parse_memory, "memory"), (parse_cpu, "cpu"), (parse_duration, "timeout")):
        with pytest.raises(UsageError) as error:
            parse(wrong)
        assert error.value.message.startswith(f"{name}={wrong!r} is not")
        assert error.value.hint.startswith("write it like")


@pytest.mark.parametrize("none", [0, "0"])
def test_a_step_may_need_no_core_but_always_some_time(none: str | int) -> None:
    assert parse_cpu(none) == 0
    with pytest.raises(UsageError):
        parse_duration(none)


@given(some.integers(0, 2**60))
def test_any_number_of_bytes_is_kept_and_printed(size: int) -> None:
    assert parse_memory(size) == size
    assert format_memory(size).split()[1] in ("B", "KiB", "MiB", "GiB", "TiB")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.44, "1.4 s"), (59.9, "59.9 s"), (125, "2 min 05 s"), (3600, "1 h 00 min"), (11_400, "3 h 10 min")],
)
def test_durations_are_printed_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (Resources(), True),
        (Resources(cpu=2, memory=10, gpu=1), True),
        (Resources(cpu=2.1), False),
        (Resources(memory=11), False),
        (Resources(gpu=2), False),
    ],
)
def test_resources_fit_when_each_of_them_does(asked: Resources, fits: bool) -> None:
    assert asked.fits(Resources(cpu=2, memory=10, gpu=1)) is fits
