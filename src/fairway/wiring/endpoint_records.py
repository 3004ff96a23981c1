"""The parts that know endpoints of this machine over time: their deployments, output and traffic."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from fairway.wiring.machine import LocalStores, SystemClock

if TYPE_CHECKING:
    from fairway.engine.traffic import TrafficKeeper
    from fairway.ports.serving import Serving
    from fairway.spec.endpoint import EndpointStatus

Look = Callable[[], "Awaitable[list[EndpointStatus]]"]
"""Function that returns every endpoint as it is now."""


def keeper(stores: LocalStores) -> "TrafficKeeper":
    """Return the part that counts the requests of the endpoints on this machine."""
    from fairway.engine.traffic import TrafficKeeper
    from fairway.local.counting import counted
    from fairway.stores.traffic import TrafficFile

    return TrafficKeeper(partial(counted, stores.root), TrafficFile(stores.root), SystemClock())


def attended(stores: LocalStores, look: Look, traffic: "TrafficKeeper | None") -> "Serving":
    """Return the part of a platform process.

    Args:
        stores: the stores.
        look: returns every endpoint as it is now.
        traffic: counts the requests; None for what was counted before.
    """
    from fairway.engine.serving import ServingRecords
    from fairway.local.asking import ask
    from fairway.local.worker_output import worker_output

    return ServingRecords(
        stores.metadata.deployments,
        partial(worker_output, stores.root),
        (traffic or keeper(stores)).traffic,
        look,
        ask,
    )


def unattended(stores: LocalStores, look: Look) -> "Serving":
    """Return the part of a command while no platform process runs: what was counted until it ended."""
    return attended(stores, look, None)
