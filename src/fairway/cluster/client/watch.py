"""A watch that heals itself: nothing is missed, and no fault of the connection or of the server stops it for good.

It lists, watches from the list's version, and lists again whenever the server no longer knows that version, says that
something is wrong, or is silent, and at the latest every ten minutes. Must not know what the objects mean.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, Generic, TypeVar

import httpx2
import msgspec

from fairway.cluster.client.errors import KubernetesError, Unknown
from fairway.cluster.client.listing import Query, list_raw
from fairway.cluster.client.refusals import Status
from fairway.cluster.client.transport import Transport
from fairway.spec.errors import FairwayError

T = TypeVar("T")


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a watch, in seconds.

    Attributes:
        shortest: the least time for which one connection watches.
        longest: the most time for which one connection watches. Chance chooses between the two, so that
            clients that start together do not come back together.
        beyond: the time after which a connection that should have ended is given up.
        silence: the time without a byte after which a connection is given up. Bookmarks come each minute.
        relist: the time after which everything is listed again, whatever the watch said.
        pause: the first pause after a failure.
        longest_pause: the longest pause after failures.
    """

    shortest: float = 240.0
    longest: float = 300.0
    beyond: float = 15.0
    silence: float = 120.0
    relist: float = 600.0
    pause: float = 0.5
    longest_pause: float = 10.0


class Snapshot(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The objects that there were at one moment.

    Attributes:
        items: the objects by name, or by "namespace/name" in a watch of all namespaces. Nobody changes it later.
        version: the resourceVersion of the moment.
        lists: the number of full lists until now.
        listed_at: the monotonic time at which the last full list was asked for. An object that is absent from
            `items` was certainly absent at that time or later.
        heard_at: the monotonic time at which the server was last heard of.
        changed: the names that came, changed or went since the snapshot before.
        trouble: why nothing is heard at present. Empty if all is well. The items are then those last known.
    """

    items: Mapping[str, T]
    version: str = ""
    lists: int = 0
    listed_at: float = 0.0
    heard_at: float = 0.0
    changed: frozenset[str] = frozenset()
    trouble: str = ""


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Known(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw = msgspec.Raw(b"{}")


class _Stale(Exception):
    """The signal that only a new list can help."""


async def watch(
    transport: Transport, query: Query, type: type[T], pace: Pace = Pace()
) -> AsyncGenerator[Snapshot[T]]:
    """Yield what there is, now and after each change, for ever.

    A bookmark of the server yields a snapshot too, with no change. If the server is not reached at a second try, a
    snapshot has the `trouble`, and another one has none as soon as it is reached again.

    Raises:
        KubernetesError: the very first list was refused.
    """
    state = _State[T](type, query)
    failures = 0
    while True:
        trouble = ""
        began = time.monotonic()
        try:
            if state.is_due(pace):
                yield await state.list(transport)
                began = time.monotonic()
            async with contextlib.aclosing(_changes(transport, state, pace)) as snapshots:
                async for snapshot in snapshots:
                    yield snapshot
        except _Stale:
            state.stale = True
        except FairwayError as error:
            if state.lists == 0 and not isinstance(error, Unknown):
                raise
            # The server no longer has the version, or refuses it. A server in trouble is spared a list.
            state.stale = state.stale or (isinstance(error, KubernetesError) and 400 <= error.status < 429)
            trouble = error.message
        # A connection that lived is proof that all is well. One that ends at once is a failure, whatever it said.
        failures = 0 if time.monotonic() - began >= 2 * pace.pause else failures + 1
        if failures > 1:
            if trouble and state.lists and not state.trouble:
                state.trouble = trouble
                yield state.snapshot()
            longest = min(pace.longest_pause, pace.pause * 2 ** min(failures - 2, 10))
            await asyncio.sleep(longest * random.uniform(0.5, 1.0))


class _State(Generic[T]):
    """The objects as far as they are known."""

    def __init__(self, type: type[T], query: Query) -> None:
        self.query = query
        self.trouble = ""
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(type)
        self._everywhere = query.kind.namespaced and not query.namespace
        self._items: dict[str, T] = {}
        self._versions: dict[str, str] = {}
        self._changed: set[str] = set()
        self.version = ""
        self.lists = 0
        self.listed_at = 0.0
        self.heard_at = 0.0
        self.stale = True

    def is_due(self, pace: Pace) -> bool:
        """Tell whether a full list is to be made now."""
        return self.stale or time.monotonic() - self.listed_at >= pace.relist

    async def list(self, transport: Transport) -> Snapshot[T]:
        """Replace all that is known by a full list."""
        asked_at = time.monotonic()
        listed = await list_raw(transport, self.query)
        items: dict[str, T] = {}
        versions: dict[str, str] = {}
        for raw in listed.items:
            metadata = msgspec.json.decode(raw, type=_Known).metadata
            items[self._key(metadata)] = self._decoder.decode(raw)
            versions[self._key(metadata)] = metadata.resource_version
        before = self._versions
        names = before.keys() | versions.keys()
        self._changed |= {name for name in names if before.get(name) != versions.get(name)}
        self._items, self._versions, self.version = items, versions, listed.version
        self.lists += 1
        self.listed_at, self.stale = asked_at, False
        self.note_answer()
        return self.snapshot()

    def note_answer(self) -> None:
        """Note that the server answers."""
        self.heard_at, self.trouble = time.monotonic(), ""

    def take(self, event: _Event) -> None:
        """Take in one event. Raises _Stale if it says that something is wrong."""
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object, type=Status)
            raise _Stale(status.message)
        metadata = msgspec.json.decode(event.object, type=_Known).metadata
        self.version = metadata.resource_version or self.version
        if event.type == "BOOKMARK":
            return
        key = self._key(metadata)
        self._changed.add(key)
        if event.type == "DELETED":
            self._items.pop(key, None)
            self._versions.pop(key, None)
        else:
            self._items[key] = self._decoder.decode(event.object)
            self._versions[key] = metadata.resource_version

    def _key(self, metadata: _Metadata) -> str:
        return f"{metadata.namespace}/{metadata.name}" if self._everywhere else metadata.name

    def snapshot(self) -> Snapshot[T]:
        """Return what is known now, and forget what has changed until now."""
        changed, self._changed = frozenset(self._changed), set()
        return Snapshot(
            items=dict(self._items),
            version=self.version,
            lists=self.lists,
            listed_at=self.listed_at,
            heard_at=self.heard_at,
            changed=changed,
            trouble=self.trouble,
        )


async def _changes(transport: Transport, state: _State[T], pace: Pace) -> AsyncGenerator[Snapshot[T]]:
    """Watch over one connection and yield a snapshot for all that each read brought.

    Raises:
        _Stale: the server said that something is wrong, or was silent.
        KubernetesError: the server refuses, or the connection broke.
    """
    seconds = random.uniform(pace.shortest, pace.longest)
    seconds = max(1.0, min(seconds, state.listed_at + pace.relist - time.monotonic()))
    call = state.query.call(
        "watch",
        (
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", state.version),
            ("timeoutSeconds", str(max(1, round(seconds)))),
        ),
    )
    call = msgspec.structs.replace(call, counted=False, seconds=min(pace.silence, seconds + pace.beyond))
    end = time.monotonic() + seconds + pace.beyond
    async with transport.stream(call) as response:
        healed = bool(state.trouble)
        state.note_answer()
        if healed:
            yield state.snapshot()
        async with contextlib.aclosing(_read(response, end)) as parts:
            async for lines in parts:
                state.note_answer()
                for event in _events(lines):
                    state.take(event)
                yield state.snapshot()


async def _read(response: httpx2.Response, end: float) -> AsyncGenerator[list[bytes]]:
    """Yield the whole lines of each read. A line that the end of the connection cut is dropped: it comes again."""
    rest = b""
    parts = response.aiter_bytes()
    while True:
        try:
            async with asyncio.timeout(end - time.monotonic()):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except (httpx2.ReadTimeout, TimeoutError):
            raise _Stale("silence") from None
        except httpx2.TransportError as error:
            raise Unknown(f"the watch broke: {error}", hint="") from error
        *lines, rest = (rest + part).split(b"\n")
        if lines:
            yield lines


def _events(lines: list[bytes]) -> Iterator[_Event]:
    for line in lines:
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=_Event)
        except msgspec.DecodeError:
            # What stands between may write into the stream. What was in that place is found by a list.
            raise _Stale("a line is no event") from None
