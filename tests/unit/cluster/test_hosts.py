"""A host in a pod, as an engine sees it: what it passes on, what it keeps back, and when it counts as lost."""

import asyncio
from typing import Any

import msgspec
import pytest

from fairway.cluster import hosts as module
from fairway.cluster.hosts import ClusterHost, usable
from fairway.cluster.links import HostLink
from fairway.spec.errors import HostLost
from fairway.spec.link import Dismiss, Draining, Facts, HostEnded, Note, Orders, Passed
from fairway.spec.places import Back, Gone
from fairway.spec.run import Failure, Reason, Usage
from fairway.spec.wire import Bind, Cause, Described, Ended, Exited, Quit, Start, Started, Stop, frame

LOST = Failure(reason=Reason.NODE, message="its node was lost")
DONE = Exited(step="s", attempt=1, ended=Ended(), usage=Usage())
STOPPED = Exited(step="s", attempt=1, ended=Ended(signal="SIGTERM", cause=Cause.STOP), usage=Usage())


class Played:
    """A host whose link is played by hand."""

    def __init__(self) -> None:
        self.link = HostLink("fw-1-d-a1", Orders(store="/s", file="p.py"))
        self.sent: list[Any] = []
        self.link.send = self.sent.append  # type: ignore[method-assign]
        self.removed = 0
        self.host = ClusterHost(self.link, self.explain, self.remove)
        self.heard: list[Any] = []
        self.host.listen(lambda host, message: self.heard.append(message))

    async def explain(self, report: HostEnded) -> Failure:
        return LOST

    async def remove(self) -> None:
        self.removed += 1

    def say(self, message: Any) -> None:
        """Have the host send a message."""
        self.link.hear(Passed(frame(message)[4:]))


def play(work: Any) -> None:
    async def whole() -> None:
        await work(Played())

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_messages_pass_in_both_directions() -> None:
    async def work(played: Played) -> None:
        played.say(Started(step="s", attempt=1, pid=7))
        assert played.heard == [Started(step="s", attempt=1, pid=7)]
        stop = Stop(step="s", attempt=1)
        played.host.send(stop)
        assert played.sent == [Passed(frame(stop)[4:])]

    play(work)


def test_a_quit_dismisses_the_pod() -> None:
    async def work(played: Played) -> None:
        played.host.send(Quit())
        assert played.sent == [Dismiss()]

    play(work)


def test_a_step_without_a_limit_gets_what_its_pod_has() -> None:
    async def work(played: Played) -> None:
        played.link.facts = Facts(memory=2**30)
        start = Start(run="r", step="s", attempt=1, task="t", inputs={})
        for memory in (0, 5 * 2**20):
            played.host.send(msgspec.structs.replace(start, memory=memory))
        limits = [msgspec.msgpack.decode(one.content, type=Start).memory for one in played.sent]
        assert limits == [usable(2**30), 5 * 2**20]
        assert usable(2**30) == 2**30 - 128 * 2**20

    play(work)


def test_the_report_of_the_end_makes_the_loss_certain() -> None:
    async def work(played: Played) -> None:
        played.say(DONE)
        played.link.hear(HostEnded(text="it ended"))
        await played.host.over()
        assert played.heard == [DONE, Gone(failure=LOST)]
        played.say(DONE)
        played.host.send(Stop(step="s", attempt=1))
        assert (len(played.heard), played.sent) == (2, [])
        with pytest.raises(HostLost, match="its node was lost"):
            await played.host.bind(Bind(pipeline="p", texts={}))

    play(work)


def test_an_attempt_that_a_drained_pod_stops_is_lost_and_not_cancelled() -> None:
    async def work(played: Played) -> None:
        played.link.hear(Draining())
        assert isinstance(played.heard[0], Gone)
        assert not played.heard[0].certain
        played.say(STOPPED)
        played.say(msgspec.structs.replace(DONE, step="other"))
        played.link.hear(HostEnded(drained=True))
        await played.host.over()
        assert [type(one) for one in played.heard[1:]] == [Exited, Gone]
        assert played.heard[1].step == "other"

    play(work)


def test_a_stop_that_the_engine_wanted_is_told_also_while_the_pod_drains() -> None:
    async def work(played: Played) -> None:
        played.host.send(Stop(step="s", attempt=1))
        played.link.hear(Draining())
        played.say(STOPPED)
        assert played.heard[-1] == STOPPED

    play(work)


def test_silence_is_told_and_taken_back_and_never_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNSEEN_SECONDS", 0.05)

    async def work(played: Played) -> None:
        played.link.connected(True)
        played.link.connected(False)
        await asyncio.sleep(0.2)
        assert [(type(one), one.certain) for one in played.heard] == [(Gone, False)]
        played.link.connected(True)
        assert isinstance(played.heard[-1], Back)
        played.link.connected(False)
        played.link.connected(True)
        await asyncio.sleep(0.2)
        assert len(played.heard) == 2

    play(work)


def test_what_came_before_anybody_listened_is_told_in_order() -> None:
    async def work(played: Played) -> None:
        link = HostLink("fw-1-d-a2", Orders(store="/s", file="p.py"))
        host = ClusterHost(link, played.explain, played.remove)
        link.hear(Passed(frame(Started(step="s", attempt=1, pid=7))[4:]))
        link.hear(Passed(frame(DONE)[4:]))
        link.hear(HostEnded())
        await host.over()
        host.listen(lambda host, message: played.heard.append(message))
        await asyncio.sleep(0)
        assert [type(one) for one in played.heard] == [Started, Exited, Gone]

    play(work)


def test_output_of_an_import_belongs_to_the_first_attempt_on_the_host() -> None:
    async def work(played: Played) -> None:
        played.link.hear(Note(b"imp"))
        played.link.hear(Note(b"orted"))
        played.say(Described(pid=1))
        await asyncio.sleep(0)
        assert played.heard == [], "it is not known yet whose output it is"
        for step in ("s", "t"):
            played.host.send(Start(run="r", step=step, attempt=2, task="t", inputs={}))
        played.link.hear(Note(b"and more"))
        await asyncio.sleep(0)
        said = [(one.step, one.attempt, one.data) for one in played.heard]
        assert said == [("s", 2, b"imported"), ("s", 2, b"and more")]

    play(work)


def test_output_that_waits_for_its_attempt_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PRINTED", 10)

    async def work(played: Played) -> None:
        for _ in range(3):
            played.link.hear(Note(b"1234567"))
        assert played.host.printed == b"1234567123"

    play(work)


def test_a_pod_that_does_not_quit_is_removed() -> None:
    async def work(played: Played) -> None:
        await played.host.close()
        assert played.removed == 1
        assert played.heard[-1].certain
        await played.host.close()
        assert played.removed == 1

    play(work)
