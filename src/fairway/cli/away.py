"""Runs on a target: the project is sent, the run submitted and followed, and Ctrl-C asks what becomes of the run."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairway.cli import outline, run_help, targeting
from fairway.cli.running import Manner, choose_pipeline, finish, read_flags, watch
from fairway.cli.story import report, show, show_json
from fairway.cli.whereabouts import from_here
from fairway.engine import addresses
from fairway.remote import RemotePlatform
from fairway.spec.errors import EXIT_DONE, EXIT_INTERRUPTED, FairwayError
from fairway.spec.quantities import format_memory
from fairway.spec.run import Phase, RunRequest, RunStatus

if TYPE_CHECKING:
    from fairway.cli.progress import Progress
    from fairway.spec.project import PipelineSpec, ProjectSpec
    from fairway.spec.update import Over
    from fairway.wiring.sending import Sent

T = TypeVar("T")

_FILES = ("file", "folder", "path", "list")
_ASK_SECONDS = 3.0
"""Seconds after which a request that has no answer yet is asked about."""


def run(
    platform: RemotePlatform,
    request: RunRequest,
    words: list[str],
    manner: Manner,
    *,
    helping: bool,
    detach: bool,
) -> int:
    """Run a project on a target, or print the flags of its pipeline."""

    async def work() -> int:
        begun = time.monotonic()
        if helping:
            project = await _describe(platform, request, await _send(platform, request, []))
            run_help.show_flags(choose_pipeline(project, request), project)
            return EXIT_DONE
        await prepare(platform, request, words)
        return await _submit(platform, request, manner, begun, detach=detach)

    return asyncio.run(_close_after(platform, work()))


def resume(platform: RemotePlatform, word: str, file: Path | None, manner: Manner, *, detach: bool) -> int:
    """Resume a run on a target, with the project as it is here now. Without one, with the code that it began with."""

    async def work() -> int:
        begun = time.monotonic()
        status = await platform.run(await platform.find(word))
        name = status.spec.name
        if status.phase is Phase.SUCCEEDED:
            if manner.as_json:
                show_json(status)
            else:
                report(f"run {name} has succeeded; nothing is left to do")
            return EXIT_DONE
        request = RunRequest(resume=name, pipeline=status.spec.pipeline)
        found = str(file.absolute()) if file is not None else project_here(status)
        if found:
            request.file = found
            await _describe(platform, request, await _send(platform, request, []))
        elif status.spec.bundle:
            report(f"note: the project of run {name} is not here, so it goes on with the code that it has")
        return await _submit(platform, request, manner, begun, detach=detach)

    return asyncio.run(_close_after(platform, work()))


def retry(platform: RemotePlatform, word: str, file: Path | None, manner: Manner, *, detach: bool) -> int:
    """Run one step of a run on a target again, with the project as it is here now or else with the code of the run."""

    async def work() -> int:
        begun = time.monotonic()
        run, _, step = word.partition("/")
        status = await platform.run(await platform.find(run))
        spec = status.spec
        addresses.step_of(status, step)
        request = RunRequest(pipeline=spec.pipeline, repeats=f"{spec.name}/{step}")
        found = str(file.absolute()) if file is not None else project_here(status)
        if found:
            request.file = found
            await _describe(platform, request, await _send(platform, request, []))
        else:
            report(
                f"note: the project of run {spec.name} is not here, so the step runs with the code that it had"
            )
            request.file, request.module = spec.project, spec.module
            request.bundle, request.images = spec.bundle, spec.images
        return await _submit(platform, request, manner, begun, detach=detach)

    return asyncio.run(_close_after(platform, work()))


async def prepare(platform: RemotePlatform, request: RunRequest, words: list[str]) -> "PipelineSpec":
    """Send the project of a request, and read the words behind the file as flags. Return its pipeline. Raises FairwayError."""
    here = [word.rpartition("=")[2] for word in words]
    # A bare word that is also the name of a folder, such as `data`, is more often a value of another kind.
    named = [
        word
        for word in [*here, request.config]
        if os.path.isfile(word) or ("/" in word and os.path.exists(word))
    ]
    named = [os.path.abspath(word) for word in named]
    sent = await _send(platform, request, named)
    if request.config:
        request.config = sent.path_there(request.config)
    pipeline = read_flags(await _describe(platform, request, sent), request, words)
    _translate(sent, request, pipeline)
    return pipeline


async def _send(platform: RemotePlatform, request: RunRequest, named: list[str]) -> "Sent":
    """Send the project, and print what was sent."""
    from fairway.wiring import sending

    sent = await sending.send(platform, request, named)
    if sent.files:
        what = f"{sent.files} file{'s' if sent.files != 1 else ''}, {format_memory(sent.size)}"
        report(f"uploaded {what} to {platform.place}")
    return sent


async def _describe(platform: RemotePlatform, request: RunRequest, sent: "Sent") -> "ProjectSpec":
    """Describe the project on the target, with the environments that it has here. Raises FairwayError."""
    from fairway.wiring.equipping import Equipment

    found = targeting.chosen(sent.bundle.folder)
    if found is None:
        return await _telling(platform, request, platform.describe(request))
    equipment = Equipment(found, sent.bundle, report, platform)
    own = await equipment.own()
    request.images = {"": own} if own else {}
    project = await _telling(platform, request, platform.describe(request))
    request.images |= await equipment.of_tasks(project)
    return project


def _translate(sent: "Sent", request: RunRequest, pipeline: "PipelineSpec") -> None:
    """Let the parameters that are files of the project name them in the bundle. Raises UsageError for other files."""
    for parameter in pipeline.parameters:
        kind = parameter.item if parameter.kind == "list" else parameter.kind
        if kind not in _FILES:
            continue
        texts = request.texts.get(parameter.name, [])
        request.texts[parameter.name] = [
            sent.path_there(text) if os.path.exists(text) or kind != "path" else text for text in texts
        ]
        if not texts:
            del request.texts[parameter.name]


def project_here(status: RunStatus) -> str:
    """Return the file of a recorded run in the project around the working directory; empty if there is none like it."""
    path = status.spec.project
    marker = f"/{status.spec.bundle}/"
    if not status.spec.bundle:
        return ""
    path = path.partition(marker)[2] if marker in path else path
    folder = Path.cwd()
    for place in (folder, *folder.parents):
        file = place / path
        if not Path(path).is_absolute() and status.spec.pipeline in outline.read(file).pipelines:
            return str(file)
    return ""


async def _telling(platform: RemotePlatform, request: RunRequest, asked: Coroutine[Any, Any, T]) -> T:
    """Return the answer to a request for a run, and print meanwhile what it waits for. Raises FairwayError."""
    request.key = request.key or os.urandom(16).hex()
    answer = asyncio.ensure_future(asked)
    try:
        while not (await asyncio.wait([answer], timeout=_ASK_SECONDS))[0]:
            # A control plane of an earlier version has no notes, and one that is away cannot tell any.
            with suppress(FairwayError):
                report(*await platform.waiting(request.key))
        return answer.result()
    finally:
        answer.cancel()


async def _submit(
    platform: RemotePlatform, request: RunRequest, manner: Manner, begun: float, *, detach: bool
) -> int:
    """Submit a run, follow it and print how it ended; with `detach`, print how to follow it."""
    name = await _telling(platform, request, platform.submit(request))
    if detach:
        if manner.as_json:
            show_json({"run": name})
        else:
            report(
                f"{request.pipeline}  run {name}  goes on by itself on {platform.place}", _how_to_go_on(name)
            )
            show(name)
        return EXIT_DONE
    progress = manner.progress()
    if progress is not None:
        progress.headline(f"{request.pipeline}  run {name}  on {platform.place}")
    over = await _Followed(platform, name, progress).over()
    if over is None:
        return EXIT_INTERRUPTED
    return await finish(platform, None, name, over, time.monotonic() - begun, manner)


def _how_to_go_on(name: str) -> str:
    follow, cancel = (from_here(f"fairway {verb} {name}", None) for verb in ("follow", "cancel"))
    return f"hint: `{follow}` shows it, `{cancel}` stops it"


class _Followed:
    """A run that is followed. The first Ctrl-C asks whether to cancel the run or to leave it; the second leaves it."""

    def __init__(self, platform: RemotePlatform, name: str, progress: "Progress | None") -> None:
        self._platform = platform
        self._name = name
        self._progress = progress
        self._left = asyncio.Event()
        self._is_asked = False
        self._cancelling: asyncio.Task[None] | None = None

    async def over(self) -> "Over | None":
        """Follow the run to its end and return it. Return None if the person leaves the run to itself."""
        loop = asyncio.get_running_loop()
        watching = loop.create_task(watch(self._platform, self._name, self._progress))
        leaving = loop.create_task(self._left.wait())
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        try:
            await asyncio.wait({watching, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                return watching.result()
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            self._stop_reading()
            for task in (watching, leaving, *([self._cancelling] if self._cancelling else [])):
                task.cancel()
                with suppress(asyncio.CancelledError, FairwayError):
                    await task
        if self._progress is not None:
            self._progress.finish()
        report(f"run {self._name} goes on by itself on {self._platform.place}", _how_to_go_on(self._name))
        return None

    def _interrupted(self) -> None:
        """Ask the person what to do, or leave the run at the second Ctrl-C, or if nobody can answer."""
        if self._is_asked or not (sys.stdin.isatty() and sys.stderr.isatty()):
            self._left.set()
            return
        self._is_asked = True
        self._note("Ctrl-C: type c and Enter to cancel the run, or Enter or Ctrl-C again to leave it running")
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._answered)

    def _answered(self) -> None:
        """Read the person's answer."""
        answer = os.read(sys.stdin.fileno(), 1000).strip().lower()
        self._stop_reading()
        if answer not in (b"c", b"cancel"):
            self._left.set()
            return
        self._is_asked = False
        self._cancelling = asyncio.get_running_loop().create_task(self._cancel())

    async def _cancel(self) -> None:
        try:
            await self._platform.cancel(self._name)
        except FairwayError as error:
            self._note(f"run {self._name} could not be cancelled: {error.message}")
            return
        self._note(f"run {self._name} is being cancelled: its steps have ten seconds to end by themselves")

    def _stop_reading(self) -> None:
        with suppress(ValueError, OSError):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())

    def _note(self, text: str) -> None:
        if self._progress is not None:
            self._progress.note(text)
        else:
            report(text)


async def _close_after(platform: RemotePlatform, work: Coroutine[Any, Any, int]) -> int:
    """Do some work and close the platform."""
    async with targeting.closing(platform):
        return await work
