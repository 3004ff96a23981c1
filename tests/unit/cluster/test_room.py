"""Where an executor of a cluster has room: on the driver, and in pods when the driver is of no use."""

from typing import Any, cast

import pods_here
import pytest

from fairway.cluster import bookings, scaling, workers
from fairway.cluster import executor as module
from fairway.cluster.executor import ClusterExecutor, Project
from fairway.cluster.jobs import Jobs
from fairway.cluster.links import Links
from fairway.spec.errors import FairwayError
from fairway.spec.link import Orders
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources

SMALL = Resources(cpu=1.0)


async def no_image(environment: EnvironmentSpec) -> str:
    raise FairwayError("no image")


class Time:
    """A clock that the test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    for one in (module, bookings, scaling, workers):
        monkeypatch.setattr(one, "time", clock)
    return clock


@pytest.fixture
def executor(clock: Time) -> ClusterExecutor:
    jobs = Jobs(cast("Any", None), pods_here.INSTALL)
    project = Project(key="k7m2", orders=Orders(store="/s", file="p.py"))
    return ClusterExecutor(jobs, cast("Links", None), project, no_image, lambda text: None)


def test_small_steps_wait_for_a_driver_where_steps_end_quickly(
    executor: ClusterExecutor, clock: Time
) -> None:
    driver, pod, own = executor.places(None)
    grants = [executor.take(driver, SMALL, name) for name in "ab"]
    assert all(grants)
    assert executor.take(driver, SMALL, "c") is None
    assert executor.take(pod, SMALL, "c") is None
    assert executor.take(own, SMALL, "d") is not None
    first, _ = grants
    assert first is not None
    executor.give_back(first)
    assert executor.take(driver, SMALL, "c") is not None


def test_steps_get_pods_once_the_driver_is_busy_with_long_ones(
    executor: ClusterExecutor, clock: Time
) -> None:
    driver, pod, _ = executor.places(None)
    for name in "ab":
        executor.take(driver, SMALL, name)
    assert executor.take(pod, SMALL, "c") is None
    clock.now += 2.5
    assert all(executor.take(pod, SMALL, name) for name in "cdef")


def test_many_steps_get_a_pod_although_steps_end_on_the_driver(
    executor: ClusterExecutor, clock: Time
) -> None:
    driver, pod, _ = executor.places(None)
    for _ in range(3):
        grant = executor.take(driver, SMALL, "a")
        assert grant is not None
        clock.now += 1.5
        executor.give_back(grant)
    executor.wait_for(SMALL, "c", 3)
    assert executor.take(pod, SMALL, "c") is None
    executor.wait_for(SMALL, "c", 20)
    assert executor.take(pod, SMALL, "c") is not None


def test_what_the_driver_never_has_room_for_gets_a_pod_at_once(executor: ClusterExecutor) -> None:
    pod = executor.places(None)[1]
    for wanted in (Resources(cpu=8.0), Resources(memory=2**40), Resources(gpu=1)):
        assert executor.take(pod, wanted, "big") is not None


def test_a_wide_run_starts_a_few_pods_at_a_time(executor: ClusterExecutor) -> None:
    pod = executor.places(None)[1]
    grants = [executor.take(pod, Resources(cpu=8.0), f"s{number}") for number in range(70)]
    assert sum(grant is not None for grant in grants) == 4


def test_isolated_steps_of_a_wide_run_have_a_bound_of_pods(executor: ClusterExecutor) -> None:
    own = executor.places(None)[2]
    grants = [executor.take(own, Resources(cpu=8.0), f"s{number}") for number in range(70)]
    assert sum(grant is not None for grant in grants) == 64
    first = grants[0]
    assert first is not None
    executor.give_back(first)
    assert executor.take(own, Resources(cpu=8.0), "later") is not None


def test_another_environment_is_only_in_pods(executor: ClusterExecutor) -> None:
    (place,) = executor.places(EnvironmentSpec(requirements=("six==1.17.0",)))
    assert executor.take(place, SMALL, "a") is not None
    assert (place.alone, place.outlives, place.pool) == (True, True, "pods")
