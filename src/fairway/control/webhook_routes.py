"""The routes for webhooks: they are listed, set, tried and removed. No answer has an address or a key in it.

Must not know who may ask, because the gate has checked that before.
"""

from starlette.requests import Request

from fairway.control import query_values as values
from fairway.control.handlers import BASE, Handlers
from fairway.control.routes import Entry, body
from fairway.spec.webhook import Answer, NewWebhook, Webhook

_PATH = f"{BASE}/webhooks"


class WebhookRoutes(Handlers):
    """The handlers for webhooks."""

    def entries(self) -> list[Entry]:
        """Return all routes."""
        post, named, need = "POST", f"{_PATH}/{{name}}", "deployer"
        return [
            Entry(method="GET", path=_PATH, policy="viewer", handler=self.every, gives=list[Webhook]),
            Entry(method=post, path=_PATH, policy=need, handler=self.put, takes=NewWebhook, gives=Webhook),
            Entry(method=post, path=f"{named}/test", policy=need, handler=self.test, gives=Answer),
            Entry(method="DELETE", path=named, policy=need, handler=self.remove),
        ]

    async def every(self, request: Request) -> object:
        """Return every webhook with scheme and host of its address."""
        return await self._platform().webhooks.all()

    async def put(self, request: Request) -> object:
        """Keep a webhook from now on, in place of the one with its name."""
        return await self._platform().webhooks.put(await body(request, NewWebhook))

    async def test(self, request: Request) -> object:
        """Post a message that is a test to a webhook, once, and return what became of it."""
        return await self._platform().webhooks.test(values.name(request))

    async def remove(self, request: Request) -> object:
        """Remove a webhook."""
        name = values.name(request)
        await self._platform().webhooks.remove(name)
        return {"removed": name}
