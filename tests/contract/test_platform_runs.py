"""What every platform promises of projects and runs: in the same process, and over HTTP."""

from pathlib import Path

import pytest
from grounds import Ground, Play, followed

from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.event import AttemptEnded, RunEnded, RunStarted, StepCalled, StepEnded
from fairway.spec.history import RunQuery
from fairway.spec.log import LogQuery
from fairway.spec.run import Phase
from fairway.spec.update import Over, Printed, Recorded, Update
from fairway.templates import TEMPLATES


def told(updates: list[Update]) -> tuple[list[type], dict[str, bytes]]:
    """Kinds of the facts in order, and what each step printed."""
    printed: dict[str, bytes] = {}
    for update in updates:
        if isinstance(update.news, Printed):
            printed[update.news.step] = printed.get(update.news.step, b"") + update.news.data
    facts = [type(update.news.event.body) for update in updates if isinstance(update.news, Recorded)]
    return facts, printed


PRINTED = {
    "pipeline": b"begun\n",
    "count": b"line 0\nline 1\nline 2\n",
    "count-2": b"line 0\nline 1\nline 2\nline 3\n",
}


def test_a_project_says_what_it_declares(play: Play) -> None:
    async def work(ground: Ground) -> None:
        project = await ground.platform.describe(ground.asked())
        assert [pipeline.name for pipeline in project.pipelines] == ["main", "held"]
        assert [parameter.name for parameter in project.pipelines[0].parameters] == ["number"]

    play(work)


def test_a_run_that_is_submitted_is_on_record_and_is_followed_to_its_end(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        assert (await ground.platform.run(run)).spec.shown == {"number": "3"}
        updates = await followed(ground, run)
        facts, printed = told(updates)
        assert facts[0] is RunStarted
        assert facts[-1] is RunEnded
        assert (facts.count(StepCalled), facts.count(AttemptEnded), facts.count(StepEnded)) == (2, 2, 2)
        assert printed == PRINTED
        over = updates[-1].news
        assert isinstance(over, Over)
        assert over.ended is not None
        assert over.ended.phase is Phase.SUCCEEDED
        assert (await ground.platform.run(run)).phase is Phase.SUCCEEDED
        assert [summary.name for summary in await ground.platform.runs()] == [run]
        assert await ground.platform.find("") == run

    play(work)


def test_following_goes_on_from_any_position_with_nothing_lost_and_nothing_twice(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        updates: list[Update] = []
        position = ""
        while not updates or not isinstance(updates[-1].news, Over):
            async for update in ground.platform.follow(run, position):
                updates.append(update)
                position = update.position
                break
        facts, printed = told(updates)
        assert (facts.count(RunStarted), facts.count(StepCalled), facts.count(StepEnded)) == (1, 2, 2)
        assert facts.count(RunEnded) == 1
        assert printed == PRINTED

    play(work)


def test_output_of_an_attempt_comes_before_its_end(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        left = dict(PRINTED)
        for update in await followed(ground, run):
            if isinstance(update.news, Printed):
                left[update.news.step] = left[update.news.step][len(update.news.data) :]
            elif isinstance(update.news, Recorded) and isinstance(update.news.event.body, AttemptEnded):
                assert left[update.news.event.step] == b""

    play(work)


def test_a_run_is_cancelled_and_says_so(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked("held", until=str(ground.folder / "never")))
        async for update in ground.platform.follow(run):
            if isinstance(update.news, Recorded) and isinstance(update.news.event.body, StepCalled):
                break
        assert (await ground.platform.run(run)).alive
        assert (await ground.platform.cancel(run)).stopping
        facts = await followed(ground, run, update.position)
        over = facts[-1].news
        assert isinstance(over, Over)
        assert over.ended is not None
        assert over.ended.phase is Phase.CANCELLED

    play(work)


def test_wrong_parameters_are_refused_and_nothing_is_started(play: Play) -> None:
    async def work(ground: Ground) -> None:
        with pytest.raises(UsageError, match="number"):
            await ground.platform.submit(ground.asked(number="many"))
        with pytest.raises(UsageError, match="has no pipeline 'nobody'"):
            await ground.platform.submit(ground.asked("nobody"))
        assert await ground.platform.runs() == []

    play(work)


def test_a_plan_says_what_would_run_and_runs_nothing(play: Play) -> None:
    async def work(ground: Ground) -> None:
        plan = await ground.platform.plan(ground.asked(number="3"))
        assert [(step.step, step.will) for step in plan] == [
            ("count number=3", "run"),
            ("count-2 number=4", "run"),
        ]
        assert await ground.platform.runs() == []

    play(work)


def test_what_steps_printed_is_read_line_by_line(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        await followed(ground, run)
        assert sorted((await ground.platform.outputs(run)).attempts) == [
            ("count", 1),
            ("count-2", 1),
            ("pipeline", 1),
        ]
        page = await ground.platform.logs(run, "count", 1)
        assert [line.text for line in page.lines] == ["line 0", "line 1", "line 2"]
        assert (await ground.platform.logs(run, "count", 1, page.offset)).lines == []

    play(work)


def test_a_part_of_a_log_is_found_by_a_search_and_by_its_place(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        await followed(ground, run)
        end = await ground.platform.log(run, LogQuery(step="count", at=-1, back=True, lines=2))
        assert [line.text for line in end.lines] == ["line 1", "line 2"]
        part = await ground.platform.log(run, LogQuery(step="count", find="LINE 1", lines=1))
        assert [line.text for line in part.lines] == ["line 1"]
        assert (part.found, part.number) == (part.places[0], 2)
        assert (await ground.platform.log(run, LogQuery(step="count", find="other"))).found == -1
        with pytest.raises(NotFound):
            await ground.platform.log("none", LogQuery(step="count"))

    play(work)


def test_the_files_of_the_project_and_a_new_one_from_a_template(play: Play) -> None:
    async def work(ground: Ground) -> None:
        (ground.folder / "plain.py").write_text("x = 1\n", encoding="utf-8")
        found = await ground.platform.projects.files()
        assert (found.folder, found.files) == (str(ground.folder), ("project.py",))
        assert [template.name for template in found.templates] == list(TEMPLATES)
        file = await ground.platform.projects.begin("supervised")
        assert "fw.pipeline" in Path(file).read_text("utf-8")
        with pytest.raises(UsageError, match="exists already"):
            await ground.platform.projects.begin("blank")
        with pytest.raises(UsageError, match="no template"):
            await ground.platform.projects.begin("../evil")

    play(work)


def test_runs_are_sorted_and_searched(play: Play) -> None:
    async def work(ground: Ground) -> None:
        platform = ground.platform
        runs = [await platform.submit(ground.asked(number=number)) for number in ("3", "2")]
        for run in runs:
            await followed(ground, run)
        assert [run.name for run in await platform.past(RunQuery(sort="-number"))] == runs
        assert [run.name for run in await platform.past(RunQuery(sort="number"))] == runs[::-1]
        assert [run.name for run in await platform.past(RunQuery(sort="number", before=runs[1]))] == runs[:1]
        assert [run.name for run in await platform.past(RunQuery(text=runs[1]))] == runs[1:]
        with pytest.raises(UsageError, match="to sort by"):
            await platform.past(RunQuery(sort="-nothing"))

    play(work)


def test_functions_of_no_project_are_not_looked_for(play: Play) -> None:
    async def work(ground: Ground) -> None:
        with pytest.raises(FairwayError, match=r"no project folder|has no file"):
            await ground.platform.projects.functions("../project.py")

    play(work)


def test_the_last_change_of_a_run_grows_with_each_change_and_is_0_without_a_run(play: Play) -> None:
    async def work(ground: Ground) -> None:
        assert await ground.platform.change("nobody") == 0
        run = await ground.platform.submit(ground.asked())
        await followed(ground, run)
        ended = await ground.platform.change(run)
        assert await ground.platform.change(run) == ended > 0
        await ground.platform.note(run, "seen")
        assert await ground.platform.change(run) > ended

    play(work)
