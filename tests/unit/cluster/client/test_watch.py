"""A watch misses nothing and heals itself, whatever the server or the connection does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted import Answer, Asked, ScriptedServer, refusal

from fairway.cluster.client.access import Access
from fairway.cluster.client.errors import Forbidden
from fairway.cluster.client.kinds import POD
from fairway.cluster.client.listing import Query
from fairway.cluster.client.transport import Transport
from fairway.cluster.client.watch import Pace, Snapshot, watch

Serve = Callable[..., ScriptedServer]
AccessTo = Callable[..., Access]
Script = Callable[[Asked], Awaitable[object]]
QUICK = Pace(shortest=20, longest=20, beyond=1, silence=5, relist=60, pause=0.05, longest_pause=0.2)


class Pod(msgspec.Struct):
    class Metadata(msgspec.Struct, rename="camel"):
        name: str
        resource_version: str = ""

    metadata: Metadata


def pod(name: str, version: int) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": name, "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": pod(name, version)}


class World:
    """An API server with these pods. Each connection that watches takes the next script; the last one repeats."""

    def __init__(self, *scripts: Script) -> None:
        self.pods = {"a": 1}
        self.version = 1
        self.scripts = list(scripts)
        self.lists = 0
        self.watches: list[dict[str, str]] = []

    def answer(self, asked: Asked) -> Answer | Awaitable[None]:
        if "watch" not in asked.query:
            self.lists += 1
            items = [pod(name, version) for name, version in self.pods.items()]
            return Answer({"metadata": {"resourceVersion": str(self.version)}, "items": items})
        self.watches.append(asked.query)
        script = self.scripts[min(len(self.watches), len(self.scripts)) - 1]
        return self._play(asked, script)

    async def _play(self, asked: Asked, script: Script) -> None:
        await script(asked)


async def idle(asked: Asked) -> None:
    """Watch and see nothing."""
    await asked.head()
    await asyncio.sleep(60)


def events(*given: dict[str, Any], then: str = "idle") -> Script:
    async def script(asked: Asked) -> None:
        await asked.head()
        if given:
            await asked.stream(*given)
        if then == "idle":
            await asyncio.sleep(60)
        elif then == "end":
            await asked.say("0\r\n\r\n")

    return script


@contextlib.contextmanager
def watching(access: Access, pace: Pace = QUICK) -> Generator[Callable[..., list[Snapshot[Pod]]]]:
    """Give a function that watches until a condition holds, and returns all snapshots up to then."""

    def until(done: Callable[[Snapshot[Pod]], bool], seconds: float = 60) -> list[Snapshot[Pod]]:
        async def main() -> list[Snapshot[Pod]]:
            found: list[Snapshot[Pod]] = []
            query = Query(kind=POD, namespace="team", labels="x=y")
            async with (
                Transport(access) as transport,
                asyncio.timeout(seconds),
                contextlib.aclosing(watch(transport, query, Pod, pace)) as seen,
            ):
                async for snapshot in seen:
                    found.append(snapshot)
                    if done(snapshot):
                        return found
            raise AssertionError

        return asyncio.run(main())

    yield until


def versions(snapshot: Snapshot[Pod]) -> dict[str, int]:
    return {name: int(item.metadata.resource_version) for name, item in snapshot.items.items()}


def test_changes_are_seen_with_the_names_that_changed(serve: Serve, access_to: AccessTo) -> None:
    world = World(events(event("ADDED", "b", 2), event("MODIFIED", "a", 3), event("DELETED", "b", 4)))
    with watching(access_to(serve(world.answer))) as until:
        first, last = until(lambda snapshot: snapshot.version == "4")
    assert (versions(first), first.changed, first.lists) == ({"a": 1}, {"a"}, 1)
    assert (versions(last), last.changed, last.lists) == ({"a": 3}, {"a", "b"}, 1)
    assert last.heard_at >= last.listed_at > 0


def test_a_snapshot_does_not_change_later(serve: Serve, access_to: AccessTo) -> None:
    world = World(events(event("ADDED", "b", 2)))
    with watching(access_to(serve(world.answer))) as until:
        first, *_ = until(lambda snapshot: "b" in snapshot.items)
    assert versions(first) == {"a": 1}


def test_a_watch_asks_for_bookmarks_and_ends_within_minutes(serve: Serve, access_to: AccessTo) -> None:
    ends: set[int] = set()
    for _ in range(8):
        world = World(events(event("ADDED", "b", 2)))
        with watching(access_to(serve(world.answer)), Pace()) as until:
            until(lambda snapshot: "b" in snapshot.items)
        ends.add(int(world.watches[0].pop("timeoutSeconds")))
        assert world.watches == [
            {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "1", "labelSelector": "x=y"}
        ]
    assert all(240 <= end <= 300 for end in ends)
    assert len(ends) > 1, "clients that start together do not come back together"


async def refused_as_gone(asked: Asked) -> None:
    body = b'{"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}'
    await asked.say(f"HTTP/1.1 410 Gone\r\nContent-Length: {len(body)}\r\n\r\n{body.decode()}")


def failed(code: int) -> Script:
    status = {"kind": "Status", "code": code, "message": "too old resource version"}
    return events({"type": "ERROR", "object": status})


@pytest.mark.parametrize(
    "script", [failed(410), failed(500), refused_as_gone], ids=["event 410", "event 500", "status 410"]
)
def test_an_error_leads_to_a_new_list(serve: Serve, access_to: AccessTo, script: Script) -> None:
    world = World(script, idle)

    async def changed_meanwhile(asked: Asked) -> None:
        world.pods, world.version = {"b": 5}, 6
        await script(asked)

    world.scripts[0] = changed_meanwhile
    with watching(access_to(serve(world.answer))) as until:
        last = until(lambda snapshot: snapshot.lists == 2)[-1]
    assert (versions(last), last.version, last.changed) == ({"b": 5}, "6", {"a", "b"})


def test_a_change_before_an_error_is_told_as_changed(serve: Serve, access_to: AccessTo) -> None:
    error = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
    world = World(events(event("ADDED", "b", 2), error), idle)
    world.pods = {"a": 1, "b": 2}
    server = serve(world.answer)
    world.pods = {"a": 1}

    async def script(asked: Asked) -> None:
        world.pods = {"a": 1, "b": 2}
        await events(event("ADDED", "b", 2), error)(asked)

    world.scripts[0] = script
    with watching(access_to(server)) as until:
        last = until(lambda snapshot: snapshot.lists == 2)[-1]
    assert last.changed == {"b"}


def test_a_broken_stream_goes_on_from_its_last_event(serve: Serve, access_to: AccessTo) -> None:
    async def broken(asked: Asked) -> None:
        await asked.head()
        await asked.stream(event("ADDED", "b", 2))
        # Half a line, and then the connection breaks.
        await asked.say('20\r\n{"type": "ADDED", "object": {"me')

    world = World(broken, events(event("ADDED", "c", 3)))
    with watching(access_to(serve(world.answer))) as until:
        last = until(lambda snapshot: "c" in snapshot.items)[-1]
    assert versions(last) == {"a": 1, "b": 2, "c": 3}
    assert [each["resourceVersion"] for each in world.watches] == ["1", "2"]
    assert world.lists == 1


def test_a_bookmark_moves_the_version_and_nothing_else(serve: Serve, access_to: AccessTo) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "9"}}}
    world = World(events(bookmark, then="end"), events(event("ADDED", "b", 10)))
    with watching(access_to(serve(world.answer))) as until:
        _, middle, *_, last = until(lambda snapshot: "b" in snapshot.items)
    assert (versions(middle), middle.changed, middle.version) == ({"a": 1}, frozenset(), "9")
    assert [each["resourceVersion"] for each in world.watches] == ["1", "9"]
    assert last.lists == 1


def test_a_line_that_is_no_event_leads_to_a_new_list(serve: Serve, access_to: AccessTo) -> None:
    async def foreign(asked: Asked) -> None:
        await asked.head()
        await asked.say("5\r\n<hi>\n\r\n")
        await asyncio.sleep(60)

    world = World(foreign, idle)
    with watching(access_to(serve(world.answer))) as until:
        until(lambda snapshot: snapshot.lists == 2)


def test_silence_leads_to_a_new_list(serve: Serve, access_to: AccessTo) -> None:
    world = World(idle)
    with watching(access_to(serve(world.answer)), msgspec.structs.replace(QUICK, silence=0.3)) as until:
        begun = time.monotonic()
        until(lambda snapshot: snapshot.lists == 3)
    assert time.monotonic() - begun >= 0.6


def test_a_connection_that_does_not_end_in_time_is_given_up(serve: Serve, access_to: AccessTo) -> None:
    async def chatty(asked: Asked) -> None:
        await asked.head()
        while True:
            await asked.say("1\r\n\n\r\n")
            await asyncio.sleep(0.05)

    pace = msgspec.structs.replace(QUICK, shortest=0.3, longest=0.3, beyond=0.2)
    world = World(chatty, idle)
    with watching(access_to(serve(world.answer)), pace) as until:
        until(lambda snapshot: snapshot.lists == 2, seconds=60)


def test_everything_is_listed_again_after_a_time(serve: Serve, access_to: AccessTo) -> None:
    async def short(asked: Asked) -> None:
        """End after the time that was asked for, as an API server does."""
        await asked.head()
        await asyncio.sleep(float(asked.query["timeoutSeconds"]))
        await asked.say("0\r\n\r\n")

    world = World(short)
    with watching(access_to(serve(world.answer)), msgspec.structs.replace(QUICK, relist=1.0)) as until:
        world.pods = {"a": 1}

        def lost(snapshot: Snapshot[Pod]) -> bool:
            # The server loses a pod and never says so.
            world.pods, world.version = {}, 2
            return snapshot.lists == 2

        last = until(lost)[-1]
    assert (versions(last), last.changed) == ({}, {"a"})


def test_a_server_that_ends_every_watch_at_once_is_not_asked_without_end(
    serve: Serve, access_to: AccessTo
) -> None:
    for script in (events(then="end"), failed(410)):
        world = World(script)
        with watching(access_to(serve(world.answer))) as until, pytest.raises(TimeoutError):
            until(lambda snapshot: False, seconds=2)
        assert len(world.watches) <= 2 / (QUICK.longest_pause / 2) + 6


def test_a_server_that_is_away_is_said_once_and_its_return_too(serve: Serve, access_to: AccessTo) -> None:
    world = World(events(then="end"), idle)
    server = serve(world.answer)

    def handler(asked: Asked) -> Answer | Awaitable[None]:
        return refusal(503, "ServiceUnavailable", "no") if 2 < len(server.asked) < 7 else world.answer(asked)

    server.handler = handler
    troubles: list[str] = []

    def healed(snapshot: Snapshot[Pod]) -> bool:
        troubles.append(snapshot.trouble)
        return any(troubles) and not snapshot.trouble

    with watching(access_to(server)) as until:
        found = until(healed)
    assert [bool(each) for each in troubles] == [False, True, False]
    assert found[-1].lists == 1, "its return is said before anything changes"
    assert versions(found[1]) == {"a": 1}


def test_a_first_list_that_is_refused_is_an_error(serve: Serve, access_to: AccessTo) -> None:
    said = 'pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "team"'
    server = serve(lambda asked: refusal(403, "Forbidden", said, kind="pods"))
    with watching(access_to(server)) as until, pytest.raises(Forbidden, match="ann may not list pods"):
        until(lambda snapshot: True)


def test_a_watch_goes_on_when_its_token_ends(serve: Serve, access_to: AccessTo, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    good = "one"

    async def short(asked: Asked) -> None:
        """Let the token end together with the connection."""
        nonlocal good
        await events(event("ADDED", "b", 2), then="end")(asked)
        good = "two"
        file.write_text("two")

    world = World(short, events(event("ADDED", "c", 3)))

    def handler(asked: Asked) -> Answer | Awaitable[None]:
        if asked.header("authorization") != f"Bearer {good}":
            return refusal(401, "Unauthorized", "Unauthorized")
        return world.answer(asked)

    server = serve(handler)
    with watching(access_to(server, token_file=str(file))) as until:
        last = until(lambda snapshot: "c" in snapshot.items)[-1]
    assert (last.lists, last.trouble) == (1, "")
    assert [each.header("authorization") for each in server.asked] == [
        "Bearer one", "Bearer one", "Bearer one", "Bearer two",
    ]  # fmt: skip


def test_a_watch_that_is_left_closes_its_connection(serve: Serve, access_to: AccessTo) -> None:
    closed: list[bool] = []

    async def script(asked: Asked) -> None:
        await asked.head()
        closed.append(await asked.reader.read() == b"")

    world = World(script)

    async def main() -> None:
        query = Query(kind=POD, namespace="team")
        async with Transport(access_to(serve(world.answer))) as transport:
            seen: AsyncIterator[Snapshot[Pod]] = watch(transport, query, Pod, QUICK)
            await anext(seen)
            task = asyncio.ensure_future(anext(seen))
            while not world.watches:
                await asyncio.sleep(0.01)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await seen.aclose()  # type: ignore[attr-defined]
            async with asyncio.timeout(60):
                while not closed:
                    await asyncio.sleep(0.01)

    asyncio.run(main())
