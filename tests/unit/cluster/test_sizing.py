"""The size and the number of pods that steps share, from numbers alone."""

import msgspec
import pytest

from fairway.cluster import sizing
from fairway.cluster.sizing import Pace
from fairway.spec.nodes import NodeChoice
from fairway.spec.quantities import Resources

MEBI = 2**20
DRIVER = Resources(cpu=1.0, memory=1024 * MEBI)
SMALL = Resources(cpu=0.25, memory=200 * MEBI)
LARGE = Resources(cpu=4, memory=8192 * MEBI)
HALF = Resources(cpu=0.5, memory=512 * MEBI)


def test_a_single_step_gets_a_pod_of_what_it_asks_for() -> None:
    assert sizing.room_for(SMALL, 1, DRIVER) == SMALL
    large = Resources(cpu=4.0, memory=8192 * MEBI)
    assert sizing.room_for(large, 50, DRIVER) == large


def test_a_pod_for_a_handful_is_no_larger_than_the_driver() -> None:
    assert sizing.room_for(SMALL, 50, DRIVER) == Resources(cpu=1.0, memory=800 * MEBI)
    assert sizing.room_for(SMALL, 2, DRIVER) == Resources(cpu=0.5, memory=400 * MEBI)
    tiny = Resources(cpu=0.01, memory=1 * MEBI)
    assert sizing.room_for(tiny, 50, DRIVER) == Resources(
        cpu=0.01 * sizing.HANDFUL, memory=sizing.LEAST_MEMORY
    )


def test_a_step_without_a_bound_has_what_the_driver_has() -> None:
    alone = sizing.room_for(Resources(cpu=0.5), 1, DRIVER)
    assert alone.memory == DRIVER.memory
    assert sizing.room_for(Resources(cpu=0.5), 9, DRIVER) == Resources(cpu=1.0, memory=DRIVER.memory)
    assert not sizing.suits(Resources(cpu=0.1), SMALL, DRIVER)
    assert sizing.suits(Resources(cpu=0.1), alone, DRIVER)


def test_steps_with_devices_never_share_a_pod() -> None:
    wanted = Resources(cpu=0.1, memory=100 * MEBI, gpu=1)
    room = sizing.room_for(wanted, 9, DRIVER)
    assert (room.cpu, room.gpu) == (0.1, 1)
    assert sizing.fits(wanted, [], room)
    assert not sizing.fits(wanted, [wanted], msgspec.structs.replace(room, cpu=9.0, memory=2**40))


def test_a_pod_suits_steps_that_differ_in_nothing_but_amounts() -> None:
    assert sizing.suits(SMALL, DRIVER, DRIVER)
    assert not sizing.suits(msgspec.structs.replace(SMALL, gpu=1), DRIVER, DRIVER)
    assert not sizing.suits(DRIVER, SMALL, DRIVER)


@pytest.mark.parametrize(("seconds", "waiting", "places", "worth"), [
    (0.1, 20, 4, False),
    (0.1, 1000, 4, True),
    (0.1, 1000, 40, False),
    (60.0, 1, 4, True),
    (1.0, 3, 1, False),
])  # fmt: skip
def test_a_pod_is_worth_it_for_a_backlog_longer_than_its_start(
    seconds: float, waiting: int, places: int, worth: bool
) -> None:
    pace = Pace()
    pace.began("kind", 1, 0.0)
    pace.ended("kind", 1, seconds)
    assert pace.is_worth_a_pod("kind", waiting, places, seconds) is worth


def test_a_pod_that_starts_slowly_makes_the_next_one_worth_less() -> None:
    pace = Pace()
    pace.began("kind", 1, 0.0)
    pace.ended("kind", 1, 1.0)
    assert pace.is_worth_a_pod("kind", 30, 4, 1.0)
    pace.is_starting(20.0)
    assert not pace.is_worth_a_pod("kind", 30, 4, 1.0)


def test_before_the_first_end_the_age_of_those_that_run_counts() -> None:
    pace = Pace()
    pace.began("kind", 1, 10.0)
    assert not pace.is_worth_a_pod("kind", 5, 1, 11.0)
    assert pace.is_worth_a_pod("kind", 5, 1, 13.0)
    pace.began("kind", 2, 13.0)
    assert not pace.is_worth_a_pod("kind", 5, 1, 14.0)


def test_a_step_waits_in_vain_if_nothing_of_its_kind_ends() -> None:
    pace = Pace()
    pace.began("kind", 1, 0.0)
    pace.ended("kind", 1, 1.0)
    assert not pace.is_stuck("kind", waited=30.0, now=2.0)
    assert not pace.is_stuck("kind", waited=1.0, now=30.0)
    assert pace.is_stuck("kind", waited=30.0, now=30.0)


def asked(**more: object) -> Resources:
    return Resources(cpu=0.5, memory=2**29, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [asked(gpu=1), asked(disk=2**30)])
def test_a_step_with_gpus_or_a_bound_for_its_disk_shares_them_with_no_other_at_once(
    wanted: Resources,
) -> None:
    room = sizing.room_for(wanted, 8, LARGE)
    assert (room.cpu, sizing.slots(wanted, room, LARGE)) == (0.5, 1)
    assert sizing.fits(wanted, [], room)
    assert not sizing.fits(wanted, [wanted], room)
    assert sizing.room_for(HALF, 8, LARGE).cpu == 4


@pytest.mark.parametrize("more", [{"nodes": NodeChoice(spot=True)}, {"disk": 2**30}, {"gpu": 1}])
def test_a_pod_for_other_nodes_takes_no_step_that_did_not_ask_for_them(more: dict[str, object]) -> None:
    chosen = asked(**more)
    assert not sizing.suits(HALF, sizing.room_for(chosen, 1, LARGE), LARGE)
    assert not sizing.suits(chosen, sizing.room_for(HALF, 8, LARGE), LARGE)
    assert sizing.suits(chosen, sizing.room_for(chosen, 1, LARGE), LARGE)
