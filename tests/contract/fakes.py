"""Stand-ins for parts of a platform, held to the same contract as the real ones."""

import asyncio
from collections.abc import Mapping

from fairway.spec.endpoint import EndpointStatus, RevisionSpec, request_url
from fairway.spec.errors import FairwayError, UsageError


class FakeClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.time

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.time


class FakeDeployer:
    """Endpoints in a dict, each at a name of its own, as on a target that has no ports.

    `failing` revisions do not become ready; `gate` holds `roll` back until it is set; what is `in_use` belongs to
    somebody who is no endpoint.
    """

    def __init__(self) -> None:
        self.in_use: set[str] = set()
        self.reserved: dict[str, str] = {}
        self.serving: dict[str, EndpointStatus] = {}
        self.failing: set[int] = set()
        self.calls: list[tuple[str, str, int]] = []
        self.gate: asyncio.Event | None = None

    def reserve(self, endpoint: str, wish: str, others: Mapping[str, str]) -> str:
        """Keep the name that is wished for, else one made of the endpoint's own."""
        held = {
            **others,
            **{name: address for name, address in self.reserved.items() if name != endpoint},
        }
        names = iter([endpoint, *(f"{endpoint}-{number}" for number in range(2, 100))])
        free = (f"http://{name}.example" for name in names)
        if wish:
            address = wish if "://" in wish else f"http://{wish}.example"
            owner = next((name for name, other in held.items() if other == address), "")
            if owner or address in self.in_use:
                raise UsageError(f"{address} belongs to {f'endpoint {owner}' if owner else 'somebody else'}")
        else:
            taken = {*held.values(), *self.in_use}
            address = self.reserved.get(endpoint) or next(found for found in free if found not in taken)
        self.reserved[endpoint] = address
        return address

    async def roll(self, revision: RevisionSpec, address: str) -> EndpointStatus:
        """Serve a revision."""
        self.calls.append(("roll", revision.endpoint, revision.number))
        if self.gate is not None:
            await self.gate.wait()
        if revision.number in self.failing:
            raise FairwayError("it did not become ready: samples differ")
        status = EndpointStatus(
            name=revision.endpoint, url=request_url(address, revision), address=address, wanted=revision.number,
            serving=revision.number, ready=revision.replicas.low, workers=revision.replicas.low, phase="Running",
            revision=revision,
        )  # fmt: skip
        self.serving[revision.endpoint] = status
        return status

    async def observe(self, endpoint: str) -> EndpointStatus | None:
        """What is served."""
        return self.serving.get(endpoint)

    async def remove(self, endpoint: str) -> None:
        """Serve it no more."""
        self.calls.append(("remove", endpoint, 0))
        self.reserved.pop(endpoint, None)
        self.serving.pop(endpoint, None)
