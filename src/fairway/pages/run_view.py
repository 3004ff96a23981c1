"""Views of runs: all that pages show. A view is made once for each change of its run, and stays small with many steps."""

import asyncio
import gc

import msgspec

from fairway.pages.curves import Logged, logged, series_of
from fairway.pages.graph import graph
from fairway.pages.packed_steps import PackedSteps
from fairway.pages.steps import FoldRow, StepRow, counts, failed_step, rows
from fairway.pages.timeline import timeline
from fairway.ports.platform import Platform
from fairway.spec.errors import NotFound
from fairway.spec.run import RunStatus, StepStatus

_MOST_KEPT = 8
_MOST_BYTES = 8 * 2**20
"""The bytes of all views that are kept."""

_LARGE = 2000
"""The steps and logged values of a run that leaves memory behind when it was read."""

Key = tuple[str, int]
"""The name of a run and the place of its last change."""


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """All that pages show of a run.

    Attributes:
        run: the run without its steps and its metrics.
        failed: the step that the run failed at.
        graph: a picture as SVG, like the time line.
    """

    run: RunStatus
    steps: PackedSteps
    counts: list[tuple[str, int]]
    failed: StepStatus | None
    rows: list[StepRow | FoldRow]
    graph: str
    timeline: str
    logged: Logged

    @property
    def size(self) -> int:
        """The bytes of the view, nearly."""
        pictures = sum(len(one.svg) + 100 * len(one.rows) for one in self.logged.curves)
        return self.steps.size + len(self.graph) + len(self.timeline) + pictures


def view_of(status: RunStatus) -> RunView:
    """Return the view of a run."""
    return RunView(
        run=msgspec.structs.replace(status, steps=(), metrics=()),
        steps=PackedSteps.of(status.steps),
        counts=counts(status.steps),
        failed=failed_step(status),
        rows=rows(status.steps),
        graph=graph(status),
        timeline=timeline(status),
        logged=logged(series_of(status)),
    )


def _made(read: list[RunStatus]) -> RunView:
    """Return the view of the run on a list, which is taken off the list. A large run leaves no memory behind."""
    status = read.pop()
    is_large = len(status.steps) + len(status.metrics) > _LARGE
    view = view_of(status)
    if is_large:
        data = msgspec.msgpack.encode(view)
        del status, view
        # The free lists of the interpreter hold some of the objects that the steps were, and these hold much memory.
        gc.collect()
        # The objects of the view lay between those of the run. Made anew, they lie together and hold no memory between them.
        view = msgspec.msgpack.decode(data, type=RunView)
    return view


class RunViews:
    """The views of the runs that were looked at last. Those of runs that are over are kept until something changes."""

    def __init__(self) -> None:
        self._kept: dict[Key, RunView] = {}
        self._going: dict[Key, asyncio.Task[RunView]] = {}

    async def of(self, platform: Platform, name: str) -> RunView:
        """Return the view of a run. Raises NotFound."""
        # Ask for the last change first. If another event comes in between, the view is made again next time.
        key = name, await _change(platform, name)
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._kept[key] = kept
            return kept
        # Many who open a large run at once would need the memory of as many.
        going = self._going.get(key)
        if going is None:
            going = asyncio.get_running_loop().create_task(self._make(platform, key))
            self._going[key] = going
            going.add_done_callback(lambda _: self._going.pop(key, None))
        return await asyncio.shield(going)

    async def _make(self, platform: Platform, key: Key) -> RunView:
        # The list holds the run, so that the function can let go of it. An argument would live until the thread has ended.
        view = await asyncio.to_thread(_made, [await platform.run(key[0])])
        if view.run.phase.ended and key[1]:
            self._keep(key, view)
        return view

    def _keep(self, key: Key, view: RunView) -> None:
        for earlier in [one for one in self._kept if one[0] == key[0]]:
            del self._kept[earlier]
        self._kept[key] = view
        while len(self._kept) > _MOST_KEPT or sum(one.size for one in self._kept.values()) > _MOST_BYTES:
            del self._kept[next(iter(self._kept))]


async def _change(platform: Platform, name: str) -> int:
    try:
        return await platform.change(name)
    except NotFound:
        # A control plane of an earlier version cannot tell, so nothing is kept of its runs.
        return 0
