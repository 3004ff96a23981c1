"""The pods that steps share: who gets room where, when another one is made, and what becomes of those in a lost one."""

import asyncio

import msgspec
import pytest
from played_pods import LARGE, LOST, MEBI, OWN, SMALL, Run, play, settle

from fairway.cluster import pending, scaling, workers
from fairway.spec.errors import HostLost
from fairway.spec.link import Draining
from fairway.spec.places import CannotPlace, Gone
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Reason
from fairway.spec.wire import Cause, Described, Exited, Quit, Start


def test_the_next_attempt_gets_the_pod_of_the_last_one() -> None:
    async def work(run: Run) -> None:
        (seat,) = await run.runs("one")
        await settle()
        before = run.told
        run.pods[0].exited("one")
        seat.send(Quit())
        await settle()
        assert run.told == before + 1
        assert not run.pods[0].is_dismissed
        await run.runs("two")
        assert len(run.pods) == 1

    play(work)


def test_a_seat_is_free_only_when_its_process_has_ended() -> None:
    async def work(run: Run) -> None:
        (seat,) = await run.runs("one", wanted=LARGE)
        seat.send(Quit())
        await settle()
        grant = run.book("two", LARGE)
        assert grant is not None
        second = run.begin("two", grant)
        await settle()
        assert (len(run.pods), second.done()) == (2, False)
        run.pods[0].exited("one")
        assert (await second).name.startswith(run.pods[0].host.name)

    play(work)


def test_a_pod_without_an_attempt_is_ended_after_a_while() -> None:
    async def work(run: Run) -> None:
        (seat,) = await run.runs("one")
        seat.send(Quit())
        run.pods[0].exited("one")
        async with asyncio.timeout(60):
            while not run.pods[0].is_dismissed:
                await asyncio.sleep(0.01)

    play(work, kept=0.1)


def test_a_pod_is_not_kept_where_that_is_switched_off() -> None:
    async def work(run: Run) -> None:
        (seat,) = await run.runs("one")
        seat.send(Quit())
        run.pods[0].exited("one")
        assert run.pods[0].is_dismissed

    play(work, kept=0.0)


def test_an_isolated_step_has_a_pod_that_nobody_else_gets() -> None:
    async def work(run: Run) -> None:
        await run.runs("one")
        grant = run.book("two", SMALL, OWN)
        assert grant is not None
        started = run.begin("two", grant, OWN)
        await settle()
        run.all_ready()
        seat = await started
        assert len(run.pods) == 2
        seat.send(Start(run="r", step="two", attempt=1, task="t", inputs={}))
        run.pods[1].exited("two")
        seat.send(Quit())
        assert run.pods[1].is_dismissed

    play(work)


def test_other_environments_and_devices_are_in_other_pods() -> None:
    async def work(run: Run) -> None:
        (seat,) = await run.runs("one")
        run.pods[0].exited("one")
        seat.send(Quit())
        await run.runs("two", wanted=msgspec.structs.replace(SMALL, gpu=1))
        assert len(run.pods) == 2

    play(work)


def test_several_steps_share_a_pod_that_is_made_while_they_wait() -> None:
    async def work(run: Run) -> None:
        run.workers.scale.waiting = 20
        await run.runs("a", "b", "c", "d")
        assert len(run.pods) == 1
        assert run.pods[0].wanted.resources == Resources(cpu=2.0, memory=2048 * MEBI)

    play(work)


def test_whichever_pod_is_ready_first_takes_a_step() -> None:
    async def work(run: Run) -> None:
        first, second = (run.book(step, LARGE) for step in ("a", "b"))
        assert first is not None
        assert second is not None
        one, other = run.begin("a", first), run.begin("b", second)
        await settle()
        late, early = run.pods
        early.ready.set_result(None)
        early.host.described.set_result(Described(pid=1))
        await settle()
        assert other.done()
        seat = other.result()
        seat.send(Start(run="r", step="b", attempt=1, task="t", inputs={}))
        early.exited("b")
        seat.send(Quit())
        assert (await one).name.startswith(early.host.name)
        assert not late.ready.done()

    play(work)


def test_a_lost_pod_costs_those_that_were_in_it_and_nobody_else() -> None:
    async def work(run: Run) -> None:
        seats = await run.runs("a", "b", wanted=LARGE)
        run.pods[0].host.lose(LOST)
        await settle()
        assert [(seat, type(message)) for seat, message in run.heard] == [(seats[0], Gone)]
        run.pods[1].exited("b")
        assert isinstance(run.heard[-1][1], Exited)

    play(work)


def test_those_that_lost_a_pod_together_are_alone_the_next_time() -> None:
    async def work(run: Run) -> None:
        run.workers.scale.waiting = 20
        grants = [run.book(step) for step in ("a", "b")]
        tasks = [run.begin(step, grant) for step, grant in zip("ab", grants, strict=True) if grant]
        await settle()
        run.all_ready()
        for step, task in zip("ab", tasks, strict=True):
            (await task).send(Start(run="r", step=step, attempt=1, task="t", inputs={}))
        assert not run.pods[0].alone()
        run.pods[0].host.lose(LOST)
        await settle()
        for grant in grants:
            assert grant is not None
            run.workers.give_back(grant)
        await run.runs("a")
        await run.runs("b")
        assert [pod.wanted.resources.cpu for pod in run.pods] == [2.0, 0.5, 0.5]
        assert all(pod.alone() for pod in run.pods[1:])

    play(work)


@pytest.mark.parametrize(("used", "heard"), [(200 * MEBI, Gone), (600 * MEBI, Exited)])
def test_memory_that_ran_out_is_blamed_on_the_one_that_took_too_much(used: int, heard: type) -> None:
    async def work(run: Run) -> None:
        run.workers.scale.waiting = 20
        seats = await run.runs("a", "b")
        for step, seat in zip("ab", seats, strict=True):
            seat.send(Start(run="r", step=step, attempt=1, task="t", inputs={}, memory=512 * MEBI))
        run.pods[0].exited("a", Cause.MEMORY, used)
        assert isinstance(run.heard[-1][1], heard)

    play(work)


def test_a_pod_lost_before_it_is_ready_counts_for_one_step_and_the_others_wait() -> None:
    async def work(run: Run) -> None:
        run.workers.scale.waiting = 20
        grants = [run.book(step) for step in "abc"]
        tasks = [run.begin(step, grant) for step, grant in zip("abc", grants, strict=True) if grant]
        await settle()
        run.pods[0].ready.set_exception(HostLost("it did not live"))
        await settle()
        assert [task.done() for task in tasks] == [True, False, False]
        assert isinstance(tasks[0].exception(), HostLost)
        assert len(run.pods) == 2
        run.all_ready()
        await asyncio.gather(*tasks[1:])

    play(work)


def test_a_pod_that_the_cluster_refuses_is_given_up_quietly_while_another_one_works() -> None:
    async def work(run: Run) -> None:
        (seat,) = await run.runs("a", wanted=LARGE)
        grant = run.book("b", LARGE)
        assert grant is not None
        waiting = run.begin("b", grant)
        await settle()
        run.pods[1].ready.set_exception(CannotPlace(Failure(reason=Reason.QUOTA, message="full")))
        await settle()
        assert not waiting.done()
        assert run.book("c", LARGE) is None
        run.pods[0].exited("a")
        seat.send(Quit())
        assert (await waiting).name.startswith(run.pods[0].host.name)

    play(work)


def test_a_step_that_waits_for_a_busy_pod_gets_another_one_when_that_is_lost() -> None:
    async def work(run: Run) -> None:
        await run.runs("a", wanted=LARGE)
        grant = run.book("b", LARGE)
        assert grant is not None
        waiting = run.begin("b", grant)
        await settle()
        run.pods[1].ready.set_exception(CannotPlace(Failure(reason=Reason.QUOTA, message="full")))
        await settle()
        run.pods[0].host.lose(LOST)
        await settle()
        run.all_ready()
        assert (await waiting).name.startswith(run.pods[2].host.name)

    play(work)


def test_a_pod_that_is_out_of_reach_gets_no_step_until_it_is_back() -> None:
    async def work(run: Run) -> None:
        (seat,) = await run.runs("a")
        run.pods[0].exited("a")
        seat.send(Quit())
        run.pods[0].link.hear(Draining())
        await run.runs("b")
        assert len(run.pods) == 2

    play(work)


def test_a_pod_that_the_cluster_refuses_fails_its_steps_if_there_is_no_other() -> None:
    async def work(run: Run) -> None:
        grant = run.book("a")
        assert grant is not None
        waiting = run.begin("a", grant)
        await settle()
        run.pods[0].ready.set_exception(CannotPlace(Failure(reason=Reason.QUOTA, message="full")))
        with pytest.raises(CannotPlace, match="full"):
            await waiting

    play(work)


def test_a_pod_for_several_that_no_node_takes_is_made_anew_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_UNPLACED_SECONDS", 0.0)

    async def work(run: Run) -> None:
        run.workers.scale.waiting = 20
        grant = run.book("a")
        assert grant is not None
        waiting = run.begin("a", grant)
        await settle()
        with pytest.raises(Exception) as given_up:  # noqa: PT011 - it is no error for anybody else.
            run.pods[0].doubt(pending.Pending(unplaced=True), 1.0)
        run.pods[0].ready.set_exception(given_up.value)
        await settle()
        assert [pod.wanted.resources.cpu for pod in run.pods] == [2.0, 0.5]
        run.all_ready()
        await waiting

    play(work)


def test_unused_pods_make_way_for_one_that_the_cluster_has_no_room_for() -> None:
    async def work(run: Run) -> None:
        (seat,) = await run.runs("a")
        run.pods[0].exited("a")
        seat.send(Quit())
        grant = run.book("b", LARGE)
        assert grant is not None
        run.begin("b", grant)
        await settle()
        run.pods[1].doubt(pending.Pending(again=True), 1.0)
        assert run.pods[0].is_dismissed

    play(work)


def test_no_more_pods_are_made_than_may_be() -> None:
    async def work(run: Run) -> None:
        assert run.book("a", LARGE) is not None
        assert run.book("b", LARGE) is not None
        assert run.book("c", LARGE) is None

    play(work, most=2)


def test_a_few_pods_start_at_a_time_until_it_is_known_how_long_a_step_takes() -> None:
    async def work(run: Run) -> None:
        booked = [run.book(f"s{number}", LARGE) for number in range(9)]
        assert sum(grant is not None for grant in booked) == scaling.sizing.AT_ONCE

    play(work)


def test_a_short_step_waits_for_the_driver_and_gets_a_pod_if_nothing_ends_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scaling.sizing, "_FIRST_START_SECONDS", 0.05)

    async def work(run: Run) -> None:
        assert run.book("a", SMALL, beside=1) is None
        async with asyncio.timeout(60):
            while run.book("a", SMALL, beside=1) is None:
                await asyncio.sleep(0.01)

    play(work)


def test_a_step_that_is_given_up_frees_what_it_booked() -> None:
    async def work(run: Run) -> None:
        grant = run.book("a", LARGE)
        assert grant is not None
        waiting = run.begin("a", grant)
        await settle()
        run.workers.give_back(grant)
        with pytest.raises(CannotPlace):
            await waiting
        run.all_ready()
        await settle()
        await run.runs("b", wanted=LARGE)
        assert len(run.pods) == 1

    play(work)


def test_at_the_end_of_a_run_all_pods_end_but_those_that_still_work() -> None:
    async def work(run: Run) -> None:
        seats = await run.runs("a", "b", wanted=LARGE)
        run.pods[0].exited("a")
        seats[0].send(Quit())
        run.workers.leave()
        assert [pod.is_dismissed for pod in run.pods] == [True, False]
        assert run.lives.left == [run.pods[1].host.name]

    play(work)
