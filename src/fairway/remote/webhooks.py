"""The part of a platform that knows whom to tell of the end of runs, reached over HTTP."""

from urllib.parse import quote

import msgspec

from fairway.remote.asking import Part
from fairway.spec.webhook import Answer, NewWebhook, Webhook


class RemoteWebhooks(Part):
    """The webhooks of a platform."""

    async def all(self) -> list[Webhook]:
        """Return every webhook, by name. Raises FairwayError."""
        return await self._ask("GET", "/webhooks", list[Webhook])

    async def put(self, hook: NewWebhook) -> Webhook:
        """Keep a webhook from now on, in place of the one with its name. Raises FairwayError."""
        return await self._ask("POST", "/webhooks", Webhook, msgspec.json.encode(hook))

    async def remove(self, name: str) -> None:
        """Remove a webhook. Raises FairwayError."""
        await self._ask("DELETE", f"/webhooks/{quote(name, safe='')}", dict[str, object])

    async def test(self, name: str) -> Answer:
        """Let a message be posted that is a test, once. Raises FairwayError."""
        return await self._ask("POST", f"/webhooks/{quote(name, safe='')}/test", Answer)
