"""The repetition of a step of a run on a target in this process, with the inputs that it had there."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.cli import targeting, views
from fairway.cli.away import project_here
from fairway.cli.running import Manner, exit_code, watch
from fairway.cli.story import report, report_block, show_if_heard
from fairway.engine import addresses
from fairway.spec.errors import NotFound
from fairway.spec.quantities import format_duration
from fairway.spec.run import RunRequest, RunStatus
from fairway.wiring import inline, runs

if TYPE_CHECKING:
    from fairway.engine.platform import EnginePlatform
    from fairway.remote import RemotePlatform
    from fairway.runner.attempt import Caller
    from fairway.spec.event import RunEnded


def repeat_here(platform: "RemotePlatform", word: str, file: Path | None, call: "Caller") -> int:
    """Run a recorded step again in this process. Its inputs, and all that it makes, are gone after that. Raises FairwayError."""
    begun = time.monotonic()
    run, _, step = word.partition("/")
    # A store of its own: what other people have made on a target never becomes part of this project's record.
    with tempfile.TemporaryDirectory(prefix="fairway-debug-") as folder:
        root = Path(folder) / "store"

        async def brought() -> RunStatus:
            async with targeting.closing(platform):
                status = await platform.run(await platform.find(run))
                addresses.step_of(status, step)
                await inline.borrow(platform, status, step, root, report)
                return status

        status = asyncio.run(brought())
        request = _request(status, step, file)
        return inline.carry_out(root, request, call, lambda own: _carry_out(own, request, begun), status)


def _request(status: RunStatus, step: str, file: Path | None) -> RunRequest:
    """Return the request to repeat a step with the project as it is here. Raises NotFound."""
    spec = status.spec
    found = str(file.absolute()) if file is not None else project_here(status)
    if not found:
        name = targeting.chosen()
        there = f" --target {name.name}" if name is not None else ""
        raise NotFound(
            f"the project of run {spec.name} is not here",
            hint=f"go to its folder, or bring its source: `fairway show {spec.name} --source -o FOLDER{there}`",
        )
    return RunRequest(
        file=found, module=runs.module_of(spec), pipeline=spec.pipeline, repeats=f"{spec.name}/{step}"
    )


async def _carry_out(platform: "EnginePlatform", request: RunRequest, begun: float) -> int:
    async with targeting.closing(platform):
        await platform.describe(request)
        name = await platform.submit(request)
        progress = Manner(live=False).progress()
        assert progress is not None
        progress.headline(f"{request.repeats}  on this machine, with the inputs that it had there")
        over = await watch(platform, name, progress)
        assert over.ended is not None
        await _print_end(platform, name, over.ended, time.monotonic() - begun)
    return exit_code(over.ended)


async def _print_end(platform: "EnginePlatform", name: str, ended: "RunEnded", seconds: float) -> None:
    """Print how the step ended. There is no record of it to point to."""
    failure = ended.failure
    if failure is None and ended.result is not None and not views.is_nothing(ended.result):
        from fairway.cli import results

        show_if_heard(*await results.of_run(platform, name, ended.result))
    if failure is not None:
        if failure.details:
            report_block(f"\n{failure.details}\n")
        report(f"error: {failure.message}", *([f"hint: {failure.hint}"] if failure.hint else []))
    word = views.run_word(ended.phase, alive=False)
    report(f"{word} after {format_duration(seconds)}; nothing of this is kept".capitalize())
