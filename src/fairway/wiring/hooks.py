"""The parts for webhooks of a store: where they are kept, the outbox of its runs, and its postman."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.wiring import machine
from fairway.wiring.machine import LocalStores, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fairway.engine.aside import Aside
    from fairway.engine.outbox import Outbox
    from fairway.engine.posting import Postman
    from fairway.engine.webhooks import Webhooks
    from fairway.local.webhooks import WebhookFile
    from fairway.spec.event import RunEnded, WebhookDue
    from fairway.spec.run import RunSpec

_FILE = "platform/webhooks.json"


def kept(stores: LocalStores) -> "WebhookFile":
    """Return the file that keeps the webhooks of a store."""
    from fairway.local.webhooks import WebhookFile

    return WebhookFile(machine.sealed(stores, _FILE, b"webhooks"))


def outbox(stores: LocalStores) -> "Outbox":
    """Return the outbox for the runs of a process that posts no messages. It starts another one that does."""
    from fairway.engine.outbox import Outbox

    return Outbox(partial(_due, stores), partial(_start, stores.root))


def outbox_of_many(stores: LocalStores) -> "Outbox":
    """Return the outbox for the runs of many people in one process, which also posts their messages."""
    import asyncio

    from fairway.engine.outbox import Outbox

    return Outbox(partial(_due, stores), aside=asyncio.to_thread)


def _due(stores: LocalStores, spec: "RunSpec", started: float, ended: "RunEnded") -> "WebhookDue | None":
    """Return the fact that webhooks have to be told of an end. A run without webhooks loads nothing for this."""
    if not (stores.root / _FILE).exists():
        return None
    from fairway.engine import posting

    return posting.due(kept(stores), SystemClock(), spec, started, ended)


def _start(root: Path) -> None:
    from fairway.local import posting

    posting.start(root)


def postman(stores: LocalStores, *, shared: bool = False) -> "Postman":
    """Return the postman of a store.

    Args:
        shared: true for a platform that works for several people.
    """
    from fairway.author import redaction
    from fairway.engine.posting import Postman
    from fairway.plan.webhooks import answered
    from fairway.remote.posting import Sender
    from fairway.spec import VERSION

    sender = Sender(shared=shared, meaning=answered, agent=f"fairway/{VERSION}")
    return Postman(
        stores.metadata,
        kept(stores),
        SystemClock(),
        sender,
        _no_page if shared else partial(_page, stores.root),
        lambda text: redaction.live().text(text),
    )


def webhooks(stores: LocalStores, aside: "Aside", *, shared: bool) -> "Webhooks":
    """Return the part of a platform that knows its webhooks.

    Args:
        aside: calls functions that block.
        shared: true for a platform that works for several people.
    """
    from fairway.engine.webhooks import Webhooks

    return Webhooks(
        partial(kept, stores),
        partial(postman, stores, shared=shared),
        stores.metadata,
        SystemClock(),
        aside,
        shared=shared,
    )


def alone(stores: LocalStores) -> "Callable[[], AbstractContextManager[bool]]":
    """Return a function that takes the lock of whoever posts for a store."""
    from fairway.local.webhooks import posting_alone

    return partial(posting_alone, stores.root)


def _page(root: Path, run: str) -> str:
    """Return the address of a run's page while the platform process of the store runs; empty otherwise."""
    from fairway.local import platforms

    record = platforms.running(root)
    return f"{record.url}/runs/{run}" if record is not None and run != "test" else ""


def _no_page(run: str) -> str:
    """Return no address: on a cluster each person opens the pages at an address of their own machine."""
    return ""


async def post(root: Path) -> int:
    """Post the messages of a store that wait, unless another process does. Raises FairwayError, OSError."""
    stores = LocalStores(root)
    stores.metadata.require_own()
    try:
        return await postman(stores).empty(alone(stores))
    finally:
        stores.close()


async def send(root: Path) -> int:
    """Post all messages of a store that wait. Return the number of those that this process posted. Raises FairwayError."""
    stores = LocalStores(root)
    stores.metadata.require_own()
    try:
        return await postman(stores).finish(alone(stores))
    finally:
        stores.close()
