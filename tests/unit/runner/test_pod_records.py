"""The records of attempts in a pod: small ones are in the messages, which the pod keeps."""

import asyncio

from pod_planes import Plane, Play

from fairway.spec.wire import Described, Exited, Said
from fairway.stores import FileResults


def test_a_small_record_is_told_and_not_stored_and_told_again_to_a_control_plane_that_knows_nothing(
    play: Play,
) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin()
        await plane.until(Described)
        for attempt in (1, 2):
            plane.start("shows", attempt, count=attempt)
            await plane.until(Exited, attempt=attempt)
        records = [plane.record_of("shows", attempt) for attempt in (1, 2)]
        assert [len(record.shown) for record in records] == [1, 2]
        assert FileResults(plane.store).read("r", "shows", 1) is None
        link = await plane.replace()
        await plane.until(Exited, attempt=2)
        assert link.ended == (("shows", 1), ("shows", 2))
        assert [plane.record_of("shows", attempt) for attempt in (1, 2)] == records
        kinds = [type(one) for one in plane.heard if isinstance(one, Said | Exited)]
        assert kinds == [Said, Exited, Said, Exited], "the record of an attempt comes before its end"

    play(work)


def test_a_large_record_is_stored_before_it_is_told(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin()
        await plane.until(Described)
        plane.start("shows", count=9)
        await plane.until(Exited)
        assert FileResults(plane.store).read("r", "shows", 1) == plane.record_of("shows")
        await asyncio.sleep(
            1.0
        )  # Until the pod knows that the message has arrived. It would send it again before.
        await plane.replace()
        await plane.until(Exited)
        assert plane.records_of("shows") == [], "the pod keeps no copy of what is in the store"

    play(work)


def test_a_hello_names_as_many_ends_as_it_has_room_for(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin()
        await plane.until(Described)
        for attempt in range(1, 31):
            plane.start("shows", attempt, count=0, step="s" * 2000)
        await plane.until(Exited, attempt=30)
        link = await plane.replace()
        assert [attempt for _, attempt in link.ended] == list(range(15, 31))

    play(work)
