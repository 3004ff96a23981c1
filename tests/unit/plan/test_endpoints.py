import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fairway.plan.endpoints import HEALTHY_SECONDS, Remove, Roll, Tries, Wanted, decide, due, succeeded, tried
from fairway.spec.endpoint import Bounds, EndpointStatus


def seen(serving: int, ready: int, living: int | None = None) -> EndpointStatus:
    return EndpointStatus(
        name="churn", wanted=serving, serving=serving, ready=ready,
        workers=ready if living is None else living,
    )  # fmt: skip


WANTED = Wanted(name="churn", revision=2, replicas=Bounds.exactly(2))


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (seen(2, 2), []),
        (None, [Roll("churn", 2)]),
        (seen(0, 0), [Roll("churn", 2)]),
        (seen(2, 1), [Roll("churn", 2)]),
        (seen(2, 3), [Roll("churn", 2)]),
        (seen(1, 2), [Roll("churn", 2)]),
        (seen(2, 2, living=4), [Roll("churn", 2)]),
        (seen(2, 1, living=2), [Roll("churn", 2)]),
    ],
)
def test_an_endpoint_that_differs_is_rolled(observed: EndpointStatus | None, expected: list[Roll]) -> None:
    assert decide([WANTED], {"churn": observed} if observed else {}, {}, 0.0) == expected


@given(low=st.integers(1, 50), more=st.integers(0, 50), extra=st.data())
def test_any_number_of_workers_within_the_bounds_is_left_to_whoever_scales(
    low: int, more: int, extra: st.DataObject
) -> None:
    bounds = Bounds(low, low + more)
    living = extra.draw(st.integers(bounds.low, bounds.high))
    ready = extra.draw(st.integers(bounds.low, living))
    wanted = Wanted(name="churn", revision=2, replicas=bounds)
    assert decide([wanted], {"churn": seen(2, ready, living)}, {}, 0.0) == []


@given(low=st.integers(1, 50), more=st.integers(0, 50), ready=st.integers(0, 200))
def test_any_number_outside_the_bounds_is_mended(low: int, more: int, ready: int) -> None:
    assume(not low <= ready <= low + more)
    wanted = Wanted(name="churn", revision=2, replicas=Bounds(low, low + more))
    assert decide([wanted], {"churn": seen(2, ready)}, {}, 0.0) == [Roll("churn", 2)]


def test_workers_of_another_revision_are_ended_even_where_there_is_room_for_more() -> None:
    wanted = Wanted(name="churn", revision=2, replicas=Bounds(1, 9))
    mixed = msgspec.structs.replace(seen(2, 3, living=4), others=1)
    assert decide([wanted], {"churn": mixed}, {}, 0.0) == [Roll("churn", 2)]


def test_an_endpoint_taken_away_is_removed_once() -> None:
    away = Wanted(name="churn", revision=0)
    assert decide([away], {"churn": seen(2, 2)}, {}, 0.0) == [Remove("churn")]
    assert decide([away], {}, {}, 0.0) == []


def test_what_is_not_on_record_is_left_alone() -> None:
    assert decide([], {"churn": seen(2, 2)}, {}, 0.0) == []


def test_repeated_failures_are_spaced_out_up_to_a_limit() -> None:
    tries: Tries | None = None
    now, delays = 100.0, []
    for _ in range(10):
        tries = tried(tries, now)
        delays.append(due(tries) - now)
        assert decide([WANTED], {}, {"churn": tries}, due(tries) - 0.01) == []
        assert decide([WANTED], {}, {"churn": tries}, due(tries)) == [Roll("churn", 2)]
        now = due(tries)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


def test_a_long_healthy_time_forgets_earlier_tries() -> None:
    assert tried(Tries(9, 100.0), 100.0 + HEALTHY_SECONDS + 1) == Tries(1, 100.0 + HEALTHY_SECONDS + 1)


def test_one_bad_endpoint_does_not_delay_another() -> None:
    other = Wanted(name="other", revision=1)
    actions = decide([WANTED, other], {}, {"churn": Tries(5, 100.0)}, 101.0)
    assert actions == [Roll("other", 1)]


def test_what_became_ready_and_died_is_tried_again_sooner_than_what_never_starts() -> None:
    tries = Tries(20, 100.0)
    assert due(tries) == 130.0
    assert due(succeeded(tries)) == 102.0
    assert due(succeeded(Tries(1, 100.0))) == due(Tries(1, 100.0)) == 100.5
