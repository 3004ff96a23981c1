"""Stand-ins for parts of a platform, held to the same contract as the real ones."""

import asyncio

from fairway.spec.endpoint import EndpointStatus, RevisionSpec
from fairway.spec.errors import FairwayError


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
    """Endpoints in a dict; `failing` revisions do not become ready; `gate` holds `roll` back until it is set."""

    def __init__(self) -> None:
        self.serving: dict[str, EndpointStatus] = {}
        self.failing: set[int] = set()
        self.calls: list[tuple[str, str, int]] = []
        self.gate: asyncio.Event | None = None

    async def roll(self, revision: RevisionSpec, port: int) -> EndpointStatus:
        """Serve a revision."""
        self.calls.append(("roll", revision.endpoint, revision.number))
        if self.gate is not None:
            await self.gate.wait()
        if revision.number in self.failing:
            raise FairwayError("it did not become ready: samples differ")
        status = EndpointStatus(
            name=revision.endpoint, url=f"http://127.0.0.1:{port}/", port=port, wanted=revision.number,
            serving=revision.number, ready=revision.workers, workers=revision.workers, phase="Running",
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
        self.serving.pop(endpoint, None)
