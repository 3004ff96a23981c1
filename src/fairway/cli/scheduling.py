"""Commands for runs that come again and again: a schedule is set, listed and removed."""

import asyncio
import datetime as dt
import os
from pathlib import Path

import click

from fairway.cli import targeting
from fairway.cli.arguments import Argument, PipelineCommand
from fairway.cli.asking import ask
from fairway.cli.running import asked, read_flags
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.views import table
from fairway.cli.whereabouts import from_here
from fairway.spec.errors import EXIT_DONE, UsageError
from fairway.spec.project import PipelineSpec
from fairway.spec.run import RunRequest
from fairway.spec.schedule import Due, Fate, ScheduleSpec, ScheduleStatus
from fairway.wiring import process, settings, target

_WORDS = {"ignore_unknown_options": True, "allow_interspersed_args": True}


@targeted
@click.command("schedule", cls=PipelineCommand, context_settings=_WORDS)
@click.argument("file", cls=Argument, completes="project_file")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, cls=Argument, completes="flag_value")
@click.option(
    "--cron", default="", help='When, as five fields, such as "0 6 * * *"; else what the pipeline declares.'
)
@click.option("--timezone", default="", help="The time zone of --cron, such as Europe/Berlin; else UTC.")
@click.option("--as", "name", default="", help="The schedule's name; else the pipeline's.")
@click.option("--config", default="", help="JSON or TOML file with parameters; flags win over it.")
@click.option("--json", "as_json", is_flag=True, help="Print the schedule as JSON.")
def schedule_command(
    file: str, words: tuple[str, ...], *, cron: str, timezone: str, name: str, config: str, as_json: bool
) -> int:
    """Run the pipeline in FILE again and again, with its parameters as flags.

    The platform starts the runs, so it has to be up: the platform process on this machine, or the control plane of a target.

    \b
    Example:
      fairway schedule churn.py --cron "0 6 * * mon-fri" --timezone Europe/Berlin
    """
    process.refuse_in_step("a schedule")
    request = asked(file, config)
    there = targeting.away(os.path.dirname(request.file))
    root = None if there is not None else settings.store_root(request.file, request.module)

    async def keep() -> ScheduleStatus:
        if there is not None:
            from fairway.cli import away

            async with targeting.closing(there):
                pipeline = await away.prepare(there, request, list(words))
                return await there.schedule(_spec(request, pipeline, cron, timezone, name))
        assert root is not None
        request.config = os.path.abspath(request.config) if request.config else ""
        request.folder = os.getcwd()
        platform = target.apart(root, _nothing if as_json else report)
        pipeline = read_flags(await platform.describe(request), request, list(words))
        return await platform.schedule(_spec(request, pipeline, cron, timezone, name))

    status = asyncio.run(keep())
    if as_json:
        show_json(status)
        return EXIT_DONE
    spec = status.spec
    report(
        f"schedule {spec.name}  {spec.cron} {spec.timezone}  next {_when(status.next)}",
        f"hint: `{from_here('fairway schedules', root)}` lists the runs, "
        f"`{from_here(f'fairway unschedule {spec.name}', root)}` removes it",
    )
    return EXIT_DONE


def _spec(request: RunRequest, pipeline: PipelineSpec, cron: str, timezone: str, name: str) -> ScheduleSpec:
    """Return the schedule that is asked for. Raises UsageError if there are no times."""
    if not cron and not pipeline.schedule:
        raise UsageError(
            f"the pipeline {pipeline.name} declares no schedule",
            hint='`--cron "0 6 * * *"`, or `@fw.pipeline(schedule="0 6 * * *")`',
        )
    zone = timezone or ("" if cron else pipeline.timezone) or "UTC"
    return ScheduleSpec(
        name=name or pipeline.name, cron=cron or pipeline.schedule, timezone=zone, request=request
    )


@targeted
@click.command("schedules")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def schedules_command(as_json: bool) -> int:
    """List schedules: when each is due next, and what became of its last due times.

    \b
    Example:
      fairway schedules
    """
    platform = targeting.looking()
    found = ask(platform.schedules())
    if as_json:
        show_json(found)
        return EXIT_DONE
    if not found:
        report("no schedule yet", "hint: `fairway schedule FILE` sets one")
        return EXIT_DONE
    rows = [
        (
            one.spec.name,
            f"{one.spec.cron} {one.spec.timezone}",
            _when(one.next),
            _outcome(one.dues[-1:]),
            _project(one),
        )
        for one in found
    ]
    show(*table(("schedule", "times", "next", "last", "project"), rows))
    if not targeting.is_away() and not target.is_up(settings.store_root()):
        report("the platform is not up, so nothing is started", "hint: `fairway up` starts it")
    return EXIT_DONE


@targeted
@click.command("unschedule")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def unschedule_command(name: str, as_json: bool) -> int:
    """Remove the schedule NAME. The runs that it started go on.

    \b
    Example:
      fairway unschedule churn
    """
    with targeting.acting() as platform:
        ask(platform.unschedule(name))
    if as_json:
        show_json({"unscheduled": name})
    else:
        report(f"schedule {name} is removed")
    return EXIT_DONE


def _outcome(dues: tuple[Due, ...]) -> str:
    if not dues:
        return ""
    last = dues[-1]
    missed = f", {last.missed} before it missed" if last.missed else ""
    if last.fate is Fate.STARTED:
        return f"{_when(last.at)} run {last.run}{missed}"
    if last.fate is Fate.OVERLAPPED:
        return f"{_when(last.at)} not started: run {last.run} was at work{missed}"
    return f"{_when(last.at)} failed: {last.why[:60]}{missed}"


def _project(status: ScheduleStatus) -> str:
    return f"{Path(status.spec.request.file).name}:{status.spec.request.pipeline}"


def _when(moment: int) -> str:
    """Return a time as the clock of this machine shows it."""
    return dt.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M") if moment else "never"


def _nothing(*lines: str) -> None:
    return
