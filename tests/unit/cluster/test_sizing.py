"""The pods that steps share: a step with a bound of its own has its pod for itself."""

import pytest

from fairway.cluster import sizing
from fairway.spec.nodes import NodeChoice
from fairway.spec.quantities import Resources

DRIVER = Resources(cpu=4, memory=8 * 2**30)
SMALL = Resources(cpu=0.5, memory=2**29)


def asked(**more: object) -> Resources:
    return Resources(cpu=0.5, memory=2**29, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [asked(gpu=1), asked(disk=2**30)])
def test_a_step_with_gpus_or_a_bound_for_its_disk_shares_them_with_no_other_at_once(
    wanted: Resources,
) -> None:
    room = sizing.room_for(wanted, 8, DRIVER)
    assert (room.cpu, sizing.slots(wanted, room, DRIVER)) == (0.5, 1)
    assert sizing.fits(wanted, [], room)
    assert not sizing.fits(wanted, [wanted], room)
    assert sizing.room_for(SMALL, 8, DRIVER).cpu == 4


@pytest.mark.parametrize("more", [{"nodes": NodeChoice(spot=True)}, {"disk": 2**30}, {"gpu": 1}])
def test_a_pod_for_other_nodes_takes_no_step_that_did_not_ask_for_them(more: dict[str, object]) -> None:
    chosen = asked(**more)
    assert not sizing.suits(SMALL, sizing.room_for(chosen, 1, DRIVER), DRIVER)
    assert not sizing.suits(chosen, sizing.room_for(SMALL, 8, DRIVER), DRIVER)
    assert sizing.suits(chosen, sizing.room_for(chosen, 1, DRIVER), DRIVER)
