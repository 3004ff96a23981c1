"""A profiler for one attempt in this process: it looks at the calls of the main thread many times a second.

Looking costs next to nothing, so the step runs as it does without it. Native code is seen as the Python function that called it.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from fairway.runner import debugging
from fairway.spec.profile import Frame, Profile

_PAUSE = 0.002
_DEEPEST = 200
_GROWTH = 1.1
"""The growth of memory after which the lines that hold it are listed anew."""

_LEAST = 1 << 20
_MOST_LINES = 20


class Profiler:
    """A caller of one function that profiles it. `memory` traces every allocation, which makes the function slower."""

    def __init__(self, *, memory: bool) -> None:
        self.profile = Profile(root=Frame(name="all"))
        self._memory = memory
        self._listed = 0

    def __call__(self, function: Callable[[], object]) -> object:
        """Call the function of a step and profile it, also if it fails."""
        with debugging.leaving():
            return self._profiled(function)

    def _profiled(self, function: Callable[[], object]) -> object:
        over = threading.Event()
        looked_at, start = threading.get_ident(), sys._getframe()  # pyright: ignore[reportPrivateUsage]
        thread = threading.Thread(
            target=self._look, args=(looked_at, start, over), name="fairway-profiler", daemon=True
        )
        if self._memory:
            import tracemalloc

            tracemalloc.start()
        begun = time.monotonic()
        thread.start()
        try:
            return function()
        finally:
            self.profile.seconds = time.monotonic() - begun
            over.set()
            thread.join()
            if self._memory:
                self._end_tracing()

    def _look(self, looked_at: int, start: FrameType, over: threading.Event) -> None:
        while not over.wait(_PAUSE):
            frame = sys._current_frames().get(looked_at)  # pyright: ignore[reportPrivateUsage]
            self._count(_calls(frame, start))
            del frame
            if self._memory:
                self._list_memory()

    def _count(self, calls: list[str]) -> None:
        at = self.profile.root
        at.samples += 1
        for name in calls:
            at = at.calls.setdefault(name, Frame(name=name))
            at.samples += 1
        at.own += 1

    def _list_memory(self) -> None:
        """List the lines that hold memory, when it has grown since the last time."""
        import tracemalloc

        held = tracemalloc.get_traced_memory()[0]
        if held < _LEAST or held < self._listed * _GROWTH:
            return
        self._listed = held
        found = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, __file__)]
        )
        lines = found.statistics("lineno")[:_MOST_LINES]
        self.profile.lines = [
            (f"{os.path.basename(one.traceback[0].filename)}:{one.traceback[0].lineno}", one.size)
            for one in lines
        ]

    def _end_tracing(self) -> None:
        import tracemalloc

        self._list_memory()
        self.profile.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def _calls(frame: FrameType | None, start: FrameType) -> list[str]:
    """Return the names of the calls from the function of the step down to the present one."""
    found: list[str] = []
    while frame is not None and frame is not start and len(found) < _DEEPEST:
        if not debugging.is_ours(frame.f_code.co_filename):
            code = frame.f_code
            found.append(f"{code.co_qualname} ({os.path.basename(code.co_filename)}:{code.co_firstlineno})")
        frame = frame.f_back
    return found[::-1]
