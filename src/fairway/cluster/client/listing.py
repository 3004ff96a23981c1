"""The whole list of a kind's objects, read in pages."""

from typing import Any, Generic, TypeVar

import msgspec

from fairway.cluster.client.calls import Call
from fairway.cluster.client.errors import Gone
from fairway.cluster.client.kinds import Kind
from fairway.cluster.client.transport import Transport

T = TypeVar("T")

_PAGE = 500
_TRIES = 3


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The objects that are meant: of a kind, in a namespace (all if it is empty), with labels and fields."""

    kind: Kind
    namespace: str = ""
    labels: str = ""
    fields: str = ""

    def call(self, verb: str, query: tuple[tuple[str, str], ...]) -> Call:
        """Return the request for these objects."""
        selected = (("labelSelector", self.labels), ("fieldSelector", self.fields))
        return Call(
            method="GET",
            path=self.kind.path(self.namespace),
            query=(*selected, *query),
            verb=verb,
            resource=self.kind.plural,
            group=self.kind.group,
            namespace=self.namespace,
        )


class Listed(msgspec.Struct, Generic[T]):
    """All objects at one moment.

    Attributes:
        items: the objects.
        version: the resourceVersion of the moment, from which a watch goes on.
    """

    items: list[T]
    version: str = ""


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    items: list[msgspec.Raw] | None = None


async def list_all(transport: Transport, query: Query, type: type[T]) -> Listed[T]:
    """Return all objects that a query means. Raises KubernetesError."""
    listed = await list_raw(transport, query)
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(type)
    return Listed([decoder.decode(item) for item in listed.items], listed.version)


async def list_raw(transport: Transport, query: Query) -> Listed[msgspec.Raw]:
    """Return all objects that a query means, not decoded. Raises KubernetesError."""
    for tries in range(1, _TRIES + 1):
        try:
            # The last try asks for everything at once, which cannot grow too old between two pages.
            return await _pages(transport, query, str(_PAGE) if tries < _TRIES else "")
        except Gone:
            if tries == _TRIES:
                raise
    raise AssertionError("the last try returns or raises")


async def _pages(transport: Transport, query: Query, limit: str) -> Listed[msgspec.Raw]:
    items: list[msgspec.Raw] = []
    more = ""
    while True:
        # Without a resourceVersion the list is a consistent read: nothing in it is older than the request.
        call = query.call("list", (("limit", limit), ("continue", more)))
        page = msgspec.json.decode((await transport.send(call)).body, type=_Page)
        items += page.items or []
        more = page.metadata.continue_
        if not more:
            return Listed(items, page.metadata.resource_version)
