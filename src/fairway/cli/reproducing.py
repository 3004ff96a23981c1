"""The command `reproduce`: a run made again from its record, and compared with what it was."""

import asyncio
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import click

from fairway.cli import looking, targeting, views
from fairway.cli.arguments import Argument
from fairway.cli.progress import Progress
from fairway.cli.running import watch
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.engine.platform import EnginePlatform
from fairway.engine.reproducing import Circumstances, Comparison, Side
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, UsageError
from fairway.spec.reproduction import Reproduction, Sameness, StepSameness
from fairway.spec.run import RunStatus
from fairway.wiring import process, reproducing

_WORDS = {
    Sameness.BITS: "equal to the bit",
    Sameness.TOLERANCE: "equal within tolerance",
    Sameness.DIFFERENT: "different",
    Sameness.MISSING: "no result to compare",
}


@targeted
@click.command("reproduce")
@click.argument("run", cls=Argument, completes="run")
@click.option(
    "--output", "-o", metavar="FOLDER", default="",
    help="Make it again in this new folder and keep that; without it, a temporary folder is used and removed.",
)  # fmt: skip
@click.option("--as-is", is_flag=True, help="Use the packages that are installed now, whatever the run had.")
@click.option(
    "--tolerance", type=float, default=1e-6, show_default=True,
    help="The relative difference up to which numbers count as equal.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Do not print what the steps print.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def reproduce_command(
    run: str, *, output: str, as_is: bool, tolerance: float, quiet: bool, as_json: bool
) -> int:
    """Run RUN again from its record in a fresh folder, and say for each step whether its result is the same, and why not.

    The source, the parameters and the packages are those of RUN. Data files that lie beside the source today are used where they
    lie. The new run has a store of its own in the folder: it registers no model in this project.

    \b
    Example:
      fairway reproduce k7m2
    """
    process.refuse_in_step("`fairway reproduce`")
    if not 0 <= tolerance < 1:
        raise UsageError(
            f"--tolerance {tolerance} is no relative difference", hint="such as `--tolerance 1e-6`"
        )
    folder = Path(output) if output else Path(tempfile.mkdtemp(prefix="fairway-reproduce-"))
    try:
        found = asyncio.run(_reproduce(run, folder, tolerance, as_is=as_is, quiet=quiet or as_json))
    finally:
        if not output:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        show_json(found)
    else:
        _print(found)
        if output:
            report(f"it is in {output}: `FAIRWAY_HOME={output}/.fairway fairway show` shows the new run")
    return EXIT_DONE if found.same.holds else EXIT_FAILED


async def _reproduce(run: str, folder: Path, tolerance: float, *, as_is: bool, quiet: bool) -> Reproduction:
    async with AsyncExitStack() as held:
        platform = await held.enter_async_context(targeting.closing(looking.opened()))
        status = await platform.run(await platform.find(run))
        _refuse_unfit(status)
        fresh = await reproducing.prepare(platform, status, folder, _silent if quiet else report, as_is=as_is)

        async def watched(own: EnginePlatform, name: str, *, quiet: bool = True) -> object:
            await held.enter_async_context(targeting.closing(own))
            return await watch(own, name, None if quiet else Progress(sys.stderr))

        async def once_more(step: str) -> Side:
            return Side(*await reproducing.run(fresh, watched, f"{again.spec.name}/{step}"))

        own, again = await reproducing.run(fresh, partial(watched, quiet=quiet))
        around = Circumstances(
            fresh.code, await reproducing.changes(platform, status, own, again), _machines(status, again)
        )
        compared = Comparison(Side(platform, status), Side(own, again), around, tolerance, once_more)
        return await compared.result(str(folder))


def _refuse_unfit(status: RunStatus) -> None:
    """Refuse a run that cannot be made again as a whole. Raises UsageError."""
    if not status.phase.ended:
        raise UsageError(
            f"run {status.spec.name} is not over",
            hint=f"`fairway follow {status.spec.name}` waits for its end",
        )
    if status.spec.repeats is not None:
        raise UsageError(
            f"run {status.spec.name} repeated one step alone",
            hint="reproduce the run that it took the step from",
        )


def _machines(before: RunStatus, after: RunStatus) -> str:
    """Return how the machines of two runs differ; empty if they do not, or if the first one is not on record."""
    one, other = before.spec.machine, after.spec.machine
    return f"{one} → {other}" if one and one != other else ""


def _silent(*lines: str) -> None:
    return


def _print(found: Reproduction) -> None:
    rows = [(one.step, _word(one), one.why) for one in found.steps]
    show(*views.table(("step", "result", ""), rows))
    if found.differences:
        show("", "differs from then", *(f"  {word}" for word in found.differences[:20]))
        if len(found.differences) > 20:
            show(f"  … {len(found.differences) - 20} more")
    show("", f"run {found.run} is {_verdict(found)}")


def _verdict(found: Reproduction) -> str:
    if found.same is Sameness.BITS:
        return "reproduced: every result is equal to the bit"
    if found.same is Sameness.TOLERANCE:
        return "reproduced: every result is equal within the tolerance"
    causes = sorted({one.cause for one in found.steps if one.cause and one.cause != "input"})
    return f"not reproduced, because of {' and '.join(causes) or 'its result'}"


def _word(one: StepSameness) -> str:
    return _WORDS[one.same] + (f" ({one.distance:.0e})" if one.distance > 1e-300 else "")
