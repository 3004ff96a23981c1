"""Commands that start, plan, resume, follow and stop runs."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from fairway.cli import flags, run_help, targeting, views
from fairway.cli.arguments import Argument, PipelineCommand
from fairway.cli.asking import ask
from fairway.cli.story import report, report_block, show, show_block, show_if_heard, show_json
from fairway.cli.targeting import targeted
from fairway.cli.whereabouts import from_here
from fairway.ports.platform import Platform
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED, UsageError
from fairway.spec.run import RunRequest
from fairway.wiring import process, settings, target

if TYPE_CHECKING:
    from fairway.cli.progress import Progress
    from fairway.spec.event import RunEnded
    from fairway.spec.project import PipelineSpec, ProjectSpec
    from fairway.spec.update import Over

_WORDS = {"ignore_unknown_options": True, "allow_interspersed_args": True}

_CONFIG = "JSON or TOML file with parameters; flags win over it. If the pipeline has a parameter `config`, this sets that."
_EXPLAIN = click.option("--explain", is_flag=True, help="Say for each step why it ran or did not.")
_QUIET = click.option("--quiet", is_flag=True, help="Do not print what the steps print.")
_FINISHED = click.option("--json", "as_json", is_flag=True, help="Print the finished run as JSON.")
_DETACH = click.option(
    "--detach", is_flag=True, help="Hand the run to the platform process and return; print the run's name."
)
_HERE = click.option(
    "--here",
    is_flag=True,
    help="Run the steps in this process, one after the other, so that a debugger works.",
)


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """The way in which a person wants to see a run."""

    explain: bool = False
    quiet: bool = False
    as_json: bool = False
    live: bool = True

    def progress(self) -> "Progress | None":
        """Return the printer of a run's progress. Return None when only data is wanted."""
        from fairway.cli.progress import Progress

        return (
            None
            if self.as_json
            else Progress(sys.stderr, explain=self.explain, quiet=self.quiet, live=self.live)
        )


@targeted
@click.command("run", cls=PipelineCommand, context_settings=_WORDS, add_help_option=False)
@click.argument("file", required=False, cls=Argument, completes="project_file")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, cls=Argument, completes="flag_value")
@click.option("--config", default="", help=_CONFIG)
@_EXPLAIN
@_QUIET
@_DETACH
@_HERE
@_FINISHED
@click.option("-h", "--help", "helping", is_flag=True, help="Show the flags of the pipeline in FILE.")
@click.pass_context
def run_command(
    ctx: click.Context,
    file: str | None,
    words: tuple[str, ...],
    *,
    config: str,
    explain: bool,
    quiet: bool,
    detach: bool,
    here: bool,
    as_json: bool,
    helping: bool,
) -> int:
    """Run the pipeline in FILE, or one of several by FILE:PIPELINE, with its parameters as flags.

    FILE is a path or the name of a module, such as shop.flow.

    \b
    Example:
      fairway run churn.py --depths 2 4
    """
    if file is None:
        if helping:
            show_block(ctx.get_help())
            return EXIT_DONE
        raise UsageError("which file?", hint="`fairway run FILE`, or `fairway init` for one to start from")
    if file.startswith("-"):
        raise UsageError(
            "which file?", hint="flags come behind it: `fairway run FILE " + " ".join([file, *words]) + "`"
        )
    begun = time.monotonic()
    request = asked(file, config)
    manner = Manner(explain=explain, quiet=quiet, as_json=as_json, live=not here)
    if here and not helping:
        from fairway.cli import debugging

        return debugging.run_here(request, manner, begun, list(words), detach=detach)
    there = targeting.away(os.path.dirname(request.file))
    if there is not None:
        from fairway.cli import away

        return away.run(there, request, list(words), manner, helping=helping, detach=detach)
    root = settings.store_root(request.file, request.module)
    if helping:
        return asyncio.run(_help(target.here(root), request))
    if detach:
        return submit_apart(root, request, list(words), as_json=as_json)
    return asyncio.run(carry_out(target.here(root), root, request, manner, begun, list(words)))


@targeted
@click.command("resume")
@click.argument("run", required=False, cls=Argument, completes="run")
@click.option(
    "--file", type=click.Path(path_type=Path), help="The project file, where it lies outside the project."
)
@_EXPLAIN
@_QUIET
@_DETACH
@_FINISHED
def resume_command(
    run: str | None, *, file: Path | None, explain: bool, quiet: bool, detach: bool, as_json: bool
) -> int:
    """Resume RUN, or the newest one, where it stopped; steps that are done do not run again.

    \b
    Example:
      fairway resume k7m2
    """
    begun = time.monotonic()
    manner = Manner(explain=explain, quiet=quiet, as_json=as_json)
    there = targeting.away()
    if there is not None:
        from fairway.cli import away

        return away.resume(there, run or "", file, manner, detach=detach)
    root = settings.store_root()
    platform = target.owned(root)
    status = ask(platform.run(ask(platform.find(run or ""))))
    name = status.spec.name
    if status.phase == "Succeeded":
        if as_json:
            show_json(status)
        else:
            report(f"run {name} has succeeded; nothing is left to do")
        return EXIT_DONE
    request = RunRequest(resume=name, pipeline=status.spec.pipeline)
    if file is not None:
        request.file, request.module = (
            str(file.absolute()),
            status.spec.module or Path(status.spec.project).stem,
        )
    if detach:
        return submit_apart(root, request, [], as_json=as_json)
    target.start_ahead(root, status.spec, request.file)
    return asyncio.run(carry_out(platform, root, request, manner, begun, []))


def asked(word: str, config: str) -> RunRequest:
    """Return the request that FILE:PIPELINE means. Raises NotFound, UsageError."""
    name, _, pipeline = word.partition(":")
    file, module = process.find_project(name)
    return RunRequest(file=file, module=module, pipeline=pipeline, config=config)


@targeted
@click.command("follow")
@click.argument("run", required=False, cls=Argument, completes="run")
@_EXPLAIN
@_QUIET
@_FINISHED
def follow_command(run: str | None, explain: bool, quiet: bool, as_json: bool) -> int:
    """Follow RUN, or the newest one, from its beginning to its end, and exit as `fairway run` would.

    The run may be carried out by any process; Ctrl-C ends the following and not the run.

    \b
    Example:
      fairway follow k7m2
    """
    away = targeting.away()
    root = None if away is not None else settings.store_root()
    platform = away or target.here(settings.store_root())
    manner = Manner(explain=explain, quiet=quiet, as_json=as_json)
    name = ask(platform.find(run or ""))
    try:
        return asyncio.run(_follow(platform, root, name, manner))
    except KeyboardInterrupt:
        stop = from_here(f"fairway cancel {name}", root)
        report(f"run {name} is not followed any more; to stop the run itself: `{stop}`")
        return EXIT_INTERRUPTED


async def _follow(platform: Platform, root: Path | None, name: str, manner: Manner) -> int:
    """Follow a run from its beginning, and print how it ended."""
    async with targeting.closing(platform):
        status = await platform.run(name)
        progress = manner.progress()
        if progress is not None:
            progress.headline(f"{status.spec.pipeline}  run {name}")
        over = await watch(platform, name, progress)
        status = await platform.run(name)
        took = status.ended - status.started
        return await finish(platform, root, name, over, took, manner)


@targeted
@click.command("cancel")
@click.argument("run", cls=Argument, completes="run")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def cancel_command(run: str, as_json: bool) -> int:
    """Stop RUN: its steps get ten seconds to end by themselves.

    \b
    Example:
      fairway cancel k7m2
    """
    with targeting.acting() as platform:
        cancelled = ask(platform.cancel(ask(platform.find(run))))
    if as_json:
        show_json({"run": cancelled.run, "cancelled": True})
    elif cancelled.stopping:
        report(f"run {cancelled.run} is being cancelled")
    else:
        report(f"run {cancelled.run} was interrupted before; it is cancelled now")
    return EXIT_DONE


@targeted
@click.command("plan", cls=PipelineCommand, context_settings=_WORDS)
@click.argument("file", cls=Argument, completes="project_file")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, cls=Argument, completes="flag_value")
@click.option("--config", default="", help=_CONFIG)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan_command(file: str, words: tuple[str, ...], config: str, as_json: bool) -> int:
    """Say which steps a run of FILE would start and which are cached, as far as that can be known without running.

    \b
    Example:
      fairway plan churn.py --depths 2 4
    """
    request = asked(file, config)
    there = targeting.away(os.path.dirname(request.file))
    platform = there or target.here(settings.store_root(request.file, request.module))

    async def plan() -> int:
        async with targeting.closing(platform):
            if there is not None:
                from fairway.cli import away

                await away.prepare(there, request, list(words))
            else:
                read_flags(await platform.describe(request), request, list(words))
            steps = await platform.plan(request)
        if as_json:
            show_json(steps)
            return EXIT_DONE
        for step in steps:
            show(f"  {step.step:<28} {step.will:<8} {step.why}".rstrip())
        return EXIT_DONE

    return asyncio.run(plan())


def read_flags(project: "ProjectSpec", request: RunRequest, words: list[str]) -> "PipelineSpec":
    """Choose the pipeline, and read the words behind the file as its flags. Raises UsageError."""
    pipeline = choose_pipeline(project, request)
    request.pipeline = pipeline.name
    request.texts = flags.read(pipeline, words)
    if request.config and flags.has_config(pipeline):
        request.texts["config"] = [request.config]
        request.config = ""
    return pipeline


def choose_pipeline(project: "ProjectSpec", request: RunRequest) -> "PipelineSpec":
    from fairway.engine import names

    name = names.choose_pipeline(project, request.pipeline)
    return next(item for item in project.pipelines if item.name == name)


async def _help(platform: Platform, request: RunRequest) -> int:
    async with targeting.closing(platform):
        project = await platform.describe(request)
        run_help.show_flags(choose_pipeline(project, request), project)
    return EXIT_DONE


def submit_apart(root: Path, request: RunRequest, words: list[str], *, as_json: bool) -> int:
    """Submit a run to the platform process, and print how to follow it."""
    process.refuse_in_step("a detached run")
    if request.config:
        request.config = os.path.abspath(request.config)
    request.folder = os.getcwd()
    platform = target.apart(root, (lambda *lines: None) if as_json else report)

    async def submit() -> str:
        if not request.resume and not request.repeats:
            read_flags(await platform.describe(request), request, words)
        return await platform.submit(request)

    name = asyncio.run(submit())
    if as_json:
        show_json({"run": name})
        return EXIT_DONE
    report(
        f"{request.pipeline}  run {name}  goes on by itself",
        f"hint: `{from_here(f'fairway follow {name}', root)}` shows it, "
        f"`{from_here(f'fairway cancel {name}', root)}` stops it",
    )
    show(name)
    return EXIT_DONE


async def carry_out(
    platform: Platform, root: Path, request: RunRequest, manner: Manner, begun: float, words: list[str]
) -> int:
    """Describe the project, read the flags, submit the run, follow it, and print how it ended."""
    async with targeting.closing(platform):
        project = await platform.describe(request)
        if not request.resume and not request.repeats:
            read_flags(project, request, words)
        name = await platform.submit(request)
        progress = manner.progress()
        if progress is not None:
            progress.headline(f"{request.pipeline}  run {name}  on this machine")
        over = await watch(platform, name, progress)
        return await finish(platform, root, name, over, time.monotonic() - begun, manner)


async def watch(platform: Platform, name: str, progress: "Progress | None") -> "Over":
    """Print the progress of a run to its end."""
    from fairway.spec.update import Over

    async for update in platform.follow(name):
        if isinstance(update.news, Over):
            if progress is not None:
                progress.finish()
            return update.news
        if progress is not None:
            progress.take(update.news)
    raise AssertionError("a run is followed to its end")


async def finish(
    platform: Platform, root: Path | None, name: str, over: "Over", seconds: float, manner: Manner
) -> int:
    """Print how a run that was followed ended, and return the exit code. Raises UsageError if it did not end.

    Args:
        root: the store of this machine; None on a target.
        seconds: the time that the run took.
    """
    if over.ended is None:
        raise UsageError(
            f"run {name} was interrupted: nobody works on it",
            hint=f"`{from_here(f'fairway resume {name}', root)}` goes on with it",
        )
    if manner.as_json:
        show_json(await platform.run(name))
    else:
        await print_end(platform, root, name, over, seconds)
    return exit_code(over.ended)


async def print_end(platform: Platform, root: Path | None, name: str, over: "Over", seconds: float) -> None:
    from fairway.spec.quantities import format_duration
    from fairway.spec.run import Phase

    ended, spent = over.ended, format_duration(seconds)
    assert ended is not None
    if ended.phase is Phase.SUCCEEDED:
        if ended.result is not None and not views.is_nothing(ended.result):
            from fairway.cli import results

            show_if_heard(*await results.of_run(platform, name, ended.result))
        report(f"Done in {spent}.{await _next(platform, root, over.models)}")
        return
    if ended.phase is Phase.CANCELLED:
        report(f"Cancelled after {spent}. To go on: {from_here(f'fairway resume {name}', root)}")
        return
    failure = ended.failure
    if failure is not None:
        if failure.details:
            report_block(f"\n{failure.details}\n")
        where = (
            f"{failure.cause}: " if failure.cause and not failure.message.startswith(failure.cause) else ""
        )
        report(f"error: {where}{failure.message}")
        resume = from_here(f"fairway resume {name}", root)
        report(f"hint: {failure.hint or f'fix it, then `{resume}`'}")
    report(f"Failed after {spent}. Its record: {from_here(f'fairway show {name}', root)}")


async def _next(platform: Platform, root: Path | None, models: tuple[str, ...]) -> str:
    """Return how to serve the last model of a run that can be served, or why none can. On a target, none can yet."""
    if root is None:
        show_it = from_here(f"fairway models show {models[-1]}", None) if models else ""
        return f" To look at its model: {show_it}" if models else ""
    for model in reversed(models):
        if (await platform.resolve(model)).can_be_served:
            return f" To serve it: {from_here(f'fairway deploy {model}', root)}"
    if not models:
        return ""
    return f" {models[-1]} has no sample, so it cannot be served yet: give `fw.register` rows of its input as `sample=`"


def exit_code(ended: "RunEnded") -> int:
    from fairway.spec.run import Phase, Reason

    if ended.phase is Phase.SUCCEEDED:
        return EXIT_DONE
    if ended.phase is Phase.CANCELLED:
        return EXIT_INTERRUPTED
    return EXIT_REFUSED if ended.failure is not None and ended.failure.reason is Reason.GATE else EXIT_FAILED
