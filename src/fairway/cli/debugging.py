"""Runs for a person who looks for an error: with the terminal, and of one step alone."""

import asyncio
import os
import sys
import time
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairway.cli import targeting, views
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.running import Manner, carry_out, submit_apart
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted, typed
from fairway.cli.writing import write_anew
from fairway.engine import addresses
from fairway.evaluation.flames import flames
from fairway.spec.errors import UsageError
from fairway.spec.profile import Profile
from fairway.spec.quantities import format_duration, format_memory
from fairway.spec.run import RunRequest
from fairway.wiring import inline, process, runs, settings, target

if TYPE_CHECKING:
    from fairway.runner.attempt import Caller

_MOST_FUNCTIONS = 10

_FILE = click.option(
    "--file", type=click.Path(path_type=Path), help="The project file, where it lies outside the project."
)


def run_here(request: RunRequest, manner: Manner, begun: float, words: list[str], *, detach: bool) -> int:
    """Run a pipeline and its steps in this process, one after the other. Raises UsageError."""
    process.refuse_in_step("a run with --here")
    if detach or typed() not in ("", "local"):
        other = "--detach" if detach else "--target"
        raise UsageError(
            f"--here runs the steps in this process, and {other} elsewhere", hint="leave out one of them"
        )
    root = settings.store_root(request.file, request.module)
    return inline.carry_out(
        root, request, inline.plainly(), lambda own: carry_out(own, root, request, manner, begun, words)
    )


@targeted
@click.command("retry")
@click.argument("step", metavar="RUN/STEP", cls=Argument, completes="run_or_step")
@_FILE
@click.option("--quiet", is_flag=True, help="Do not print what the step prints.")
@click.option(
    "--detach", is_flag=True, help="Hand the run to the platform process and return; print the run's name."
)
@click.option("--json", "as_json", is_flag=True, help="Print the finished run as JSON.")
def retry_command(step: str, file: Path | None, *, quiet: bool, detach: bool, as_json: bool) -> int:
    """Run one step of an earlier run again, with its recorded inputs and the present code, as a new run.

    No other step runs. The settings of the task, such as `memory`, are those that it has now.

    \b
    Example:
      fairway retry k7m2/train-2
    """
    begun = time.monotonic()
    _check(step)
    manner = Manner(quiet=quiet, as_json=as_json)
    there = targeting.away()
    if there is not None:
        from fairway.cli import away

        return away.retry(there, step, file, manner, detach=detach)
    root = settings.store_root()
    request = _request(root, step, file)
    if detach:
        return submit_apart(root, request, [], as_json=as_json)
    return asyncio.run(carry_out(target.here(root), root, request, manner, begun, []))


@targeted
@click.command("debug")
@click.argument("step", metavar="RUN/STEP", cls=Argument, completes="run_or_step")
@_FILE
def debug_command(step: str, file: Path | None) -> int:
    """Run one step of an earlier run again in this process, and open a debugger where it fails.

    The step gets its recorded inputs, and `breakpoint()` in its code stops there. The debugger is pdb, or the one that the
    variable PYTHONBREAKPOINT names. The inputs of a run on a target are brought here, and nothing is kept afterwards.

    \b
    Example:
      fairway debug k7m2/train-2
    """
    process.refuse_in_step("`fairway debug`")
    return repeat_here(step, file, inline.post_mortem())


@targeted
@click.command("profile")
@click.argument("step", metavar="RUN/STEP", cls=Argument, completes="run_or_step")
@click.option(
    "--output", "-o", metavar="FILE", default="", help="The picture to write; the default is RUN-STEP.svg."
)
@click.option(
    "--memory", is_flag=True, help="Say which lines hold memory at its peak. The step takes longer then."
)
@_FILE
@click.option("--json", "as_json", is_flag=True, help="Print the calls as JSON.")
def profile_command(step: str, output: str, memory: bool, file: Path | None, as_json: bool) -> int:
    """Run one step of an earlier run again in this process, and show in which functions its time went.

    The step gets its recorded inputs; those of a run on a target are brought here. The calls are drawn as a flame picture: a bar
    for each function, as wide as its share.

    \b
    Example:
      fairway profile k7m2/train-2
    """
    process.refuse_in_step("`fairway profile`")
    profiler = inline.profiled(memory=memory)
    # The step prints in this process. Only the calls are for a program that reads JSON.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        status = repeat_here(step, file, profiler)
    profile = profiler.profile
    target_file = Path(output or f"{step.replace('/', '-')}.svg")
    write_anew(target_file, flames(profile, f"{step}: {format_duration(profile.seconds)}"))
    if as_json:
        show_json(profile)
    else:
        show(*_table(profile))
    report(f"the calls are drawn in {target_file}")
    return status


def repeat_here(step: str, file: Path | None, call: "Caller") -> int:
    """Run a recorded step of this machine or of a target again in this process. Raises FairwayError."""
    begun = time.monotonic()
    _check(step)
    there = targeting.away()
    if there is not None:
        from fairway.cli import borrowing

        return borrowing.repeat_here(there, step, file, call)
    root = settings.store_root()
    request = _request(root, step, file)
    manner = Manner(live=False)
    return inline.carry_out(root, request, call, lambda own: carry_out(own, root, request, manner, begun, []))


def _table(profile: Profile) -> list[str]:
    """Return the functions that took most time, and the lines that held most memory."""
    whole = max(1, profile.root.samples)
    rows = [
        (f"{own / whole:.0%}", f"{all_of_it / whole:.0%}", name)
        for name, own, all_of_it in profile.busiest(_MOST_FUNCTIONS)
    ]
    lines = views.table(("itself", "with calls", "function"), rows)
    if profile.peak:
        lines += ["", f"memory of Python objects: {format_memory(profile.peak)} at its peak"]
        lines += [f"  {format_memory(size):>9}  {place}" for place, size in profile.lines[:_MOST_FUNCTIONS]]
    return lines


def _check(step: str) -> None:
    if not all(step.partition("/")):
        raise UsageError(
            f"{step!r} names no step", hint="`fairway show RUN` lists the steps, then name one as RUN/STEP"
        )


def _request(root: Path, word: str, file: Path | None) -> RunRequest:
    """Return the request to repeat a recorded step. Raises NotFound, UsageError."""
    platform = target.owned(root)
    run, _, step = word.partition("/")
    status = ask(platform.run(ask(platform.find(run))))
    addresses.step_of(status, step)
    ask(platform.close())
    spec = status.spec
    own, module = (
        (os.path.abspath(file), runs.module_of(spec)) if file is not None else runs.project_of(root, spec)
    )
    return RunRequest(file=own, module=module, pipeline=spec.pipeline, repeats=f"{spec.name}/{step}")
