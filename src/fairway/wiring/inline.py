"""The parts of a run whose code works in this process, with the terminal: the engine gets a thread of its own."""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairway.spec.errors import UsageError
from fairway.wiring import runs, target
from fairway.wiring.machine import LocalStores

if TYPE_CHECKING:
    from fairway.engine.platform import EnginePlatform
    from fairway.engine.runs import Note, Opened
    from fairway.ports.platform import Platform
    from fairway.runner.attempt import Caller
    from fairway.runner.inline import InlineHost
    from fairway.runner.profiling import Profiler
    from fairway.spec.run import RunRequest, RunStatus

_GRACE = 10.0
"""Seconds that steps in processes of their own have to end."""

NOTE = "the code runs in this process: what it prints is not recorded, and no limit of time or memory holds"


def plainly() -> "Caller":
    """Return a caller of steps that lets the debugger of a person end the run."""
    from fairway.runner import debugging

    return debugging.plainly


def post_mortem() -> "Caller":
    """Return a caller of steps that opens a debugger where a step fails."""
    from fairway.runner import debugging

    return debugging.post_mortem


def profiled(*, memory: bool) -> "Profiler":
    """Return a caller of one step that profiles it."""
    from fairway.runner.profiling import Profiler

    return Profiler(memory=memory)


def carry_out(
    root: Path,
    request: "RunRequest",
    call: "Caller",
    work: "Callable[[EnginePlatform], Coroutine[Any, Any, int]]",
    elsewhere: "RunStatus | None" = None,
) -> int:
    """Do some work with a platform whose runs use this thread, and return its outcome.

    Args:
        root: folder of the store.
        request: the run that is going to be submitted.
        call: calls the function of each step.
        work: submits the run and follows it. Another thread does this, while this one runs the code of the project.
        elsewhere: the run of another platform whose step is repeated, with inputs that are not trusted.

    Raises:
        UsageError: this is not the main thread, in which alone a debugger works.
        BaseException: the error of the work.
    """
    from fairway.runner.inline import InlineHost

    if threading.current_thread() is not threading.main_thread():
        raise UsageError("the code of a run can use the terminal only in the main thread")
    stores = LocalStores(root).prepare()
    host = InlineHost(stores.setup(request.file, request.module), call, trusted=elsewhere is None)
    outcome: list[int] = []
    errors: list[BaseException] = []

    def main() -> None:
        try:
            outcome.append(asyncio.run(work(_platform(stores, host, elsewhere))))
        except BaseException as error:
            errors.append(error)
        finally:
            host.leave()

    thread = threading.Thread(target=main, name="fairway-engine", daemon=True)
    thread.start()
    host.serve()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


def _platform(stores: LocalStores, host: "InlineHost", elsewhere: "RunStatus | None") -> "EnginePlatform":
    carried = partial(
        runs.here,
        stores,
        partial(_open, stores, host),
        partial(_interrupts, host),
        None if elsewhere is None else lambda name: elsewhere,
    )
    return target.platform_of(stores, make_runs=carried)


async def borrow(
    platform: "Platform", status: "RunStatus", step: str, root: Path, report: Callable[[str], None]
) -> None:
    """Bring the recorded inputs of a step of another platform to a store of this machine. Raises FairwayError."""
    from fairway.engine import borrowing
    from fairway.spec.quantities import format_memory

    stores = LocalStores(root).prepare()
    try:
        with tempfile.TemporaryDirectory(prefix="fairway-inputs-") as folder:
            size = await borrowing.bring(platform, status, step, stores.artifacts, Path(folder))
    finally:
        stores.close()
    if size:
        report(f"brought the inputs of {status.spec.name}/{step} here, {format_memory(size)}")


async def _open(stores: LocalStores, host: "InlineHost", request: "RunRequest", note: "Note") -> "Opened":
    """Import the project in the thread of the host. Steps with environments of their own get hosts of the usual kind."""
    from fairway.engine.runs import Opened
    from fairway.local.inline import InlineHome

    executor = runs.executor(stores, request, note)
    home = InlineHome(host.send, host.connect)
    looking = asyncio.ensure_future(runs.repository_of(stores.root, request))
    project = await home.describe()
    note(NOTE)
    return Opened(executor, home, project, *await looking)


@contextmanager
def _interrupts(host: "InlineHost", cancel: Callable[..., None]) -> Generator[None]:
    """Cancel the run in the thread of its engine when the person interrupts the code."""
    loop = asyncio.get_running_loop()
    host.when_interrupted(lambda: loop.call_soon_threadsafe(partial(cancel, grace=_GRACE)) and None)
    yield
