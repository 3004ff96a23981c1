"""The keeper of schedules with a real record and a clock of its own: restarts, overlaps, failures, and refused requests."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fairway.engine.scheduler import Scheduler
from fairway.engine.schedules import Schedules, run_name
from fairway.spec.errors import FairwayError, NotAllowed, NotFound, UsageError
from fairway.spec.event import Event, RunEnded, RunStarted
from fairway.spec.run import Phase, RunRequest, RunSpec
from fairway.spec.schedule import Fate, ScheduleSpec
from fairway.stores.layout import Layout
from fairway.stores.metadata import SqliteMetadata

START = dt.datetime(2026, 11, 29, 0, 30, tzinfo=dt.UTC).timestamp()
HOUR = 3600.0
SPEC = ScheduleSpec(
    name="nightly", cron="0 * * * *", request=RunRequest(file="/project/flow.py", pipeline="main")
)


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Platform:
    """A platform whose runs begin at once, and that can die before it has put a due time on record."""

    def __init__(self, root: Path) -> None:
        self.metadata = SqliteMetadata(Layout(root))
        self.clock = SetClock()
        self.schedules = Schedules(self.metadata, self.clock)
        self.submitted: list[RunRequest] = []
        self.said: list[str] = []
        self.error: FairwayError | None = None
        self.dies = False
        self.begin()

    def begin(self) -> None:
        """Start the keeper, as a platform that is up again does."""
        self.scheduler = Scheduler(self.metadata, self.clock, self.submit, self.is_at_work, self.said.append)

    async def submit(self, request: RunRequest) -> str:
        if self.error is not None:
            raise self.error
        self.submitted.append(request)
        spec = RunSpec(name=request.name, pipeline="main", project=request.file, key=request.key)
        self.metadata.append([Event(body=RunStarted(spec), run=request.name, time=self.clock.time)])
        if self.dies:
            raise KeyboardInterrupt
        return request.name

    def is_at_work(self, run: str) -> bool:
        return not self.metadata.run(run).phase.ended

    def end(self, run: str) -> None:
        self.metadata.append([Event(body=RunEnded(Phase.SUCCEEDED), run=run, time=self.clock.time)])

    def turn(self, hours: float) -> float:
        self.clock.time = START + hours * HOUR
        return asyncio.run(self.scheduler.turn())

    def fates(self) -> list[tuple[float, str, int]]:
        (found,) = self.metadata.schedules()
        return [((one.at - START) / HOUR, one.fate, one.missed) for one in found.dues]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path / "store")
    yield made
    made.metadata.close()


def test_each_due_time_starts_one_run(platform: Platform) -> None:
    platform.schedules.set(SPEC)
    for hours in (0.1, 0.49, 0.5, 0.51, 0.99, 1.5, 1.6):
        platform.turn(hours)
        for run in platform.metadata.run_names():
            platform.end(run) if platform.is_at_work(run) else None
    assert platform.fates() == [(0.5, Fate.STARTED, 0), (1.5, Fate.STARTED, 0)]
    assert [one.name for one in platform.submitted] == [
        run_name("nightly", int(START + n * HOUR)) for n in (0.5, 1.5)
    ]


def test_the_next_look_is_at_the_next_due_time(platform: Platform) -> None:
    platform.schedules.set(SPEC)
    assert platform.turn(0.0) == 5.0
    assert platform.turn(0.5 - 2 / HOUR) == pytest.approx(2.0)


def test_of_the_due_times_that_passed_while_the_platform_was_down_the_newest_runs(platform: Platform) -> None:
    platform.schedules.set(SPEC)
    platform.turn(5.7)
    assert platform.fates() == [(5.5, Fate.STARTED, 5)]


def test_a_platform_that_dies_before_the_outcome_is_on_record_starts_no_second_run(
    platform: Platform,
) -> None:
    platform.schedules.set(SPEC)
    platform.dies = True
    with pytest.raises(KeyboardInterrupt):
        platform.turn(0.5)
    assert platform.fates() == []
    platform.dies = False
    platform.begin()
    platform.turn(0.6)
    assert platform.fates() == [(0.5, Fate.STARTED, 0)]
    assert len(platform.submitted) == 1


def test_a_due_time_while_the_run_before_is_at_work_starts_nothing(platform: Platform) -> None:
    platform.schedules.set(SPEC)
    platform.turn(0.5)
    platform.turn(1.5)
    platform.end(platform.submitted[0].name)
    platform.turn(2.5)
    assert platform.fates() == [(0.5, Fate.STARTED, 0), (1.5, Fate.OVERLAPPED, 0), (2.5, Fate.STARTED, 0)]
    assert platform.metadata.schedules()[0].dues[1].run == platform.submitted[0].name


def test_a_run_that_cannot_be_started_is_told_and_the_next_due_time_comes(platform: Platform) -> None:
    platform.schedules.set(SPEC)
    platform.error = UsageError("flow.py does not exist")
    platform.turn(0.5)
    assert platform.metadata.schedules()[0].dues[0].why == "flow.py does not exist"
    platform.error = None
    platform.turn(1.5)
    assert [fate for _, fate, _ in platform.fates()] == [Fate.FAILED, Fate.STARTED]


def test_a_clock_that_is_put_back_starts_nothing_again(platform: Platform) -> None:
    platform.schedules.set(SPEC)
    for hours in (0.5, 0.2, 0.49, 0.5, 0.8):
        platform.turn(hours)
    assert len(platform.submitted) == 1


def test_a_schedule_that_is_set_again_repeats_no_due_time_and_one_that_is_removed_starts_none(
    platform: Platform,
) -> None:
    platform.schedules.set(SPEC)
    platform.turn(0.5)
    platform.schedules.remove("nightly")
    platform.turn(1.6)
    assert len(platform.submitted) == 1
    platform.clock.time = START
    platform.schedules.set(SPEC)
    platform.turn(0.7)
    assert len(platform.submitted) == 1


def test_the_list_shows_the_next_due_time(platform: Platform) -> None:
    platform.schedules.set(msgspec.structs.replace(SPEC, timezone="Asia/Kathmandu", cron="0 6 * * *"))
    (found,) = platform.schedules.all()
    assert dt.datetime.fromtimestamp(found.next, dt.UTC).isoformat() == "2026-11-30T00:15:00+00:00"


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"cron": "every day"}, UsageError),
        ({"timezone": "Mars/Olympus"}, UsageError),
        ({"timezone": "../../etc/passwd"}, UsageError),
        ({"name": "../x"}, UsageError),
        ({"request": RunRequest(resume="k7m2")}, UsageError),
        ({"request": RunRequest(pickled="abc")}, UsageError),
        ({"request": RunRequest(file="/a.py", name="k7m2")}, UsageError),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused(
    platform: Platform, how: dict[str, object], error: type
) -> None:
    with pytest.raises((error, NotAllowed)):
        platform.schedules.set(msgspec.structs.replace(SPEC, **how))
    assert platform.metadata.schedules() == []


def test_there_is_nothing_to_remove_without_a_schedule(platform: Platform) -> None:
    with pytest.raises(NotFound):
        platform.schedules.remove("nightly")


def test_the_tables_of_schedules_are_made_again_from_the_log(platform: Platform) -> None:
    platform.schedules.set(SPEC)
    platform.turn(0.5)
    before = platform.metadata.schedules()
    platform.metadata.rebuild()
    assert platform.metadata.schedules() == before
