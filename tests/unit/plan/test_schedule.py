"""Due times through changes of the clocks, and one run for each of ten thousand of them."""

import datetime as dt
import random
from bisect import insort
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from fairway.plan.schedule import MOST_MISSED, due_times, passed
from fairway.spec.cron import parse

NEW_YORK, BERLIN, UTC = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


def at(text: str, zone: ZoneInfo = UTC, fold: int = 0) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def walls(cron: str, zone: ZoneInfo, after: str, count: int) -> list[str]:
    """The next due times as clocks on the wall show them."""
    times = islice(due_times(parse(cron), zone, at(after, zone)), count)
    return [dt.datetime.fromtimestamp(one, zone).isoformat()[5:16] for one in times]


def test_a_time_of_the_day_stays_that_time_on_the_wall() -> None:
    assert walls("0 6 * * *", BERLIN, "2026-03-27T12:00", 3) == ["03-28T06:00", "03-29T06:00", "03-30T06:00"]
    assert walls("0 6 * * *", BERLIN, "2026-10-23T12:00", 3) == ["10-24T06:00", "10-25T06:00", "10-26T06:00"]


def test_a_time_that_the_clocks_skip_counts_after_the_jump() -> None:
    assert walls("30 2 * * *", NEW_YORK, "2026-03-07T00:00", 3) == [
        "03-07T02:30",
        "03-08T03:30",
        "03-09T02:30",
    ]
    # Two times that fall together are one.
    assert walls("0 2,3 * * *", NEW_YORK, "2026-03-07T23:00", 2) == ["03-08T03:00", "03-09T02:00"]


def test_a_time_that_comes_twice_counts_once() -> None:
    assert walls("30 1 * * *", NEW_YORK, "2026-10-31T00:00", 3) == [
        "10-31T01:30",
        "11-01T01:30",
        "11-02T01:30",
    ]


def test_intervals_go_on_in_real_time() -> None:
    autumn = list(islice(due_times(parse("*/30 * * * *"), NEW_YORK, at("2026-11-01T00:00", NEW_YORK)), 60))
    spring = list(islice(due_times(parse("*/30 * * * *"), NEW_YORK, at("2026-03-08T00:00", NEW_YORK)), 60))
    for times in (autumn, spring):
        assert {after - before for before, after in pairwise(times)} == {1800}


def test_a_rare_day_is_found() -> None:
    assert walls("0 0 29 2 *", UTC, "2097-01-01T00:00", 1) == ["02-29T00:00"]
    assert walls("0 0 * * mon", UTC, "2026-11-29T10:00", 2) == ["11-30T00:00", "12-07T00:00"]


@pytest.mark.parametrize(
    "zone", ["Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Cairo"]
)
@pytest.mark.parametrize("cron", ["0 0 * * *", "30 2 * * *", "*/7 * * * *", "15 0,1,2,23 * * 0,3"])
def test_due_times_grow_and_are_found_from_any_moment(zone: str, cron: str) -> None:
    read, place = parse(cron), ZoneInfo(zone)
    times = list(islice(due_times(read, place, at("2018-01-01T00:00")), 3000))
    assert times == sorted(set(times))
    for before, after in islice(pairwise(times), 0, None, 97):
        assert next(due_times(read, place, before)) == after
        assert next(due_times(read, place, after - 0.5)) == after


def test_of_the_missed_the_newest_runs_and_the_others_are_counted() -> None:
    hourly, since = parse("0 * * * *"), at("2026-11-29T00:30")
    assert passed(hourly, UTC, since, (), at("2026-11-29T00:59")) is None
    found = passed(hourly, UTC, since, (), at("2026-11-29T05:10"))
    assert found is not None
    assert (found.at, found.missed) == (at("2026-11-29T05:00"), 4)
    assert passed(hourly, UTC, since, (found.at,), at("2026-11-29T05:59")) is None


def test_years_away_are_decided_on_at_once() -> None:
    found = passed(parse("* * * * *"), UTC, at("2016-01-01T00:00"), (), at("2026-01-01T00:00"))
    assert found is not None
    assert (found.at, found.missed) == (at("2026-01-01T00:00"), MOST_MISSED)


def test_a_clock_that_is_put_back_repeats_nothing_and_one_that_was_ahead_loses_nothing() -> None:
    hourly, since = parse("0 * * * *"), at("2026-11-29T00:30")
    ahead = passed(hourly, UTC, since, (), at("2027-05-01T00:00"))
    assert ahead is not None
    # The clock is right again: due times before the wrong one still come, each at its time.
    right = passed(hourly, UTC, since, (ahead.at,), at("2026-11-29T01:00"))
    assert right is not None
    assert right.at == at("2026-11-29T01:00")
    assert passed(hourly, UTC, since, (right.at, ahead.at), at("2026-11-29T01:59")) is None
    assert passed(hourly, UTC, since, (right.at, ahead.at), at("2026-11-29T00:59")) is None


@pytest.mark.parametrize(("seed", "count"), [(0, 10_000), (1, 1_000), (2, 1_000), (3, 1_000)])
def test_ten_thousand_due_times_start_one_run_each(seed: int, count: int) -> None:
    """A platform that crashes, rests and has a clock that jumps, until so many due times are decided on."""
    draw = random.Random(seed)
    cron, zone = parse("*/30 * * * *"), draw.choice([NEW_YORK, BERLIN, UTC])
    since = clock = at("2026-01-01T00:10")
    handled: list[int] = []
    runs: set[int] = set()
    started = missed = 0
    while started + missed < count:
        jump = draw.random()
        if jump < 0.02:
            clock += draw.uniform(0, 3 * 86_400)  # the platform was down
        elif jump < 0.04:
            clock -= draw.uniform(0, 7200)  # the clock was put back
        else:
            clock += draw.uniform(1, 1200)
        found = passed(cron, zone, since, handled[-200:], clock)
        if found is None:
            continue
        assert found.at <= clock
        if draw.random() < 0.1:
            runs.add(found.at)  # the run has begun, and the platform dies before that is on record
            continue
        assert found.at not in handled
        runs.add(found.at)
        insort(handled, found.at)
        started, missed = started + 1, missed + found.missed
    due = set(islice(due_times(cron, zone, since), 2 * count))
    assert len(handled) == len(set(handled)) == started
    # A run that had begun before a crash is that of a later decision, or its due time was missed after all.
    assert set(handled) <= runs <= due
