"""The regions of an endpoint's page, asked for while a change of the endpoint ends."""

import asyncio
from typing import Any

from fairway.pages.changes import Changes
from fairway.pages.endpoints import Endpoints
from fairway.spec.endpoint import EndpointStatus


class Busy:
    """A platform whose endpoint is looked at before a change ends, and that answers after it."""

    def __init__(self) -> None:
        self.deployed = asyncio.Event()

    async def work(self) -> None:
        await self.deployed.wait()

    async def endpoints(self) -> list[EndpointStatus]:
        seen: list[EndpointStatus] = []
        self.deployed.set()
        await asyncio.sleep(0.05)
        return seen


def test_a_change_that_ends_while_the_endpoint_is_looked_at_is_not_shown_as_done_beside_what_was_before() -> (
    None
):
    async def work() -> None:
        platform, changes = Busy(), Changes()
        pages: Any = Endpoints(live=None, changes=changes)  # type: ignore[arg-type]
        changes.begin("churn", "Deploying churn version 1", "ada", platform.work())
        regions = await pages._regions(platform, "churn")
        assert "Nothing serves" in regions["status"]
        assert "under way" in regions["change"]
        last = changes.of("churn")
        assert last is not None
        assert not last.under_way, "it has ended meanwhile"

    asyncio.run(work())
