"""The room that quotas and limit ranges leave."""

import pytest

from fairway.cluster import room
from fairway.cluster.podspec import Amounts
from fairway.cluster.room import LimitItem, LimitSpec, LimitView, QuotaName, QuotaStatus, QuotaView

POD = Amounts(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1", "memory": "1Gi"})


def quota(hard: dict[str, str], used: dict[str, str]) -> QuotaView:
    """Return a quota."""
    return QuotaView(metadata=QuotaName("q"), status=QuotaStatus(hard=hard, used=used))


def limits(**given: object) -> LimitView:
    """Return a limit range for containers."""
    return LimitView(metadata=QuotaName("l"), spec=LimitSpec(limits=(LimitItem(type="Container", **given),)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("500m", 0.5),
        ("1.5", 1.5),
        ("128974848", 128974848.0),
        ("129e6", 129e6),
        ("129M", 129e6),
        ("123Mi", 123 * 2**20),
        ("1Ki", 1024.0),
        ("1k", 1000.0),
        ("2E", 2e18),
        ("1Ei", 2.0**60),
        ("100n", 1e-7),
        (".5", 0.5),
        ("", 0.0),
        ("many", 0.0),
    ],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str, value: float) -> None:
    assert room.amount(text) == pytest.approx(value)


def test_a_quota_with_room_says_nothing() -> None:
    hard = {"requests.cpu": "2", "limits.memory": "4Gi", "pods": "10", "requests.nvidia.com/gpu": "0"}
    used = {"requests.cpu": "1", "limits.memory": "3Gi", "pods": "9"}
    assert room.beyond_quota(quota(hard, used), room.asked([POD])) == []


@pytest.mark.parametrize(
    ("name", "hard", "used"),
    [
        ("requests.cpu", "2", "1500m"),
        ("cpu", "500m", "0"),
        ("limits.memory", "1Gi", "1Mi"),
        ("pods", "3", "3"),
        ("count/pods", "0", "0"),
    ],
)
def test_a_quota_without_room_is_named_with_its_numbers(name: str, hard: str, used: str) -> None:
    (words,) = room.beyond_quota(quota({name: hard}, {name: used}), room.asked([POD]))
    assert words.startswith(f"{name}: {used} of {hard} are used")


def test_several_pods_need_room_together() -> None:
    hard = {"requests.cpu": "1500m"}
    assert room.beyond_quota(quota(hard, {}), room.asked([POD])) == []
    assert room.beyond_quota(quota(hard, {}), room.asked([POD, POD]))


def test_a_limit_range_that_is_wide_enough_says_nothing() -> None:
    assert room.beyond_limits(limits(max={"cpu": "2", "memory": "1Gi"}, min={"cpu": "10m"}), [POD]) == []


def test_a_limit_range_that_refuses_is_named_with_both_numbers() -> None:
    assert room.beyond_limits(limits(max={"memory": "512Mi"}), [POD]) == [
        "at most 512Mi of memory for a container, 1Gi needed"
    ]
    assert room.beyond_limits(limits(min={"cpu": "2"}), [POD]) == [
        "at least 2 of cpu for a container, 1 asked"
    ]


def test_limits_of_claims_are_not_those_of_pods() -> None:
    item = LimitItem(type="PersistentVolumeClaim", max={"storage": "1Gi"})
    assert room.beyond_limits(LimitView(spec=LimitSpec(limits=(item,))), [POD]) == []
