"""Debuggers: where one works, where one cannot, and what a person reads who asks for one there."""

import contextlib
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import cast

from fairway.runner import processes
from fairway.spec.errors import UsageError

_OURS = str(Path(__file__).resolve().parents[1]) + os.sep
_NEEDS_TERMINAL = ("pdb", "ipdb", "pudb", "bdb")
"""Modules of debuggers that read from the terminal. Others, such as debugpy, wait for a connection and work anywhere."""

_WHY = "has no terminal here, because the code of a run works in processes of its own"
HINT = (
    "`fairway run FILE --here` runs the pipeline and its steps in one process with the terminal, "
    "and `fairway debug RUN/STEP` a single step with its recorded inputs"
)


def refuse_breakpoints() -> None:
    """Let `breakpoint()` raise an error in this process and its forks, because no person can answer a debugger there.

    The variable PYTHONBREAKPOINT keeps its meaning if it names a hook that needs no terminal.
    """
    sys.breakpointhook = _refuse


def _refuse(*args: object, **kwargs: object) -> object:
    """Raise UsageError. A hook that needs no terminal is called."""
    chosen = os.environ.get("PYTHONBREAKPOINT", "")
    if chosen and chosen.partition(".")[0] not in _NEEDS_TERMINAL:
        return sys.__breakpointhook__(*args, **kwargs)
    raise UsageError(f"breakpoint() {_WHY}", hint=HINT)


def explain(error: BaseException) -> tuple[str, str] | None:
    """Return message and hint for the error of a debugger or a question that found no terminal. None for other errors."""
    if is_quit(error):
        return f"a debugger {_WHY}", HINT
    if isinstance(error, EOFError) and _asked_a_person(error.__traceback__):
        return f"input() {_WHY}", HINT
    return None


def is_quit(error: BaseException) -> bool:
    """Tell whether a person left a debugger, or whether its input was over."""
    bdb = sys.modules.get("bdb")
    return bdb is not None and isinstance(error, bdb.BdbQuit)


def is_ours(path: str) -> bool:
    """Tell whether a file belongs to Fairway."""
    return path.startswith(_OURS)


@contextlib.contextmanager
def leaving() -> Generator[None]:
    """End the code of this block by `Terminated` when the person interrupts it or leaves its debugger."""
    try:
        yield
    except KeyboardInterrupt:
        raise processes.Terminated from None
    except BaseException as error:
        if not is_quit(error):
            raise
        raise processes.Terminated from None


def plainly(function: Callable[[], object]) -> object:
    """Call the function of a step in a process with the terminal."""
    with leaving():
        return function()


def post_mortem(function: Callable[[], object]) -> object:
    """Call the function of a step, and open a debugger where it fails."""
    with leaving():
        try:
            return function()
        except Exception as error:
            if not is_quit(error):
                _examine(error)
            raise


def _examine(error: Exception) -> None:
    import traceback

    place = _own_part(error.__traceback__)
    traceback.print_exception(type(error), error, place)
    print("the step failed; `u` and `d` walk through its calls, `q` ends the debugger", file=sys.stderr)
    # A debugger that is no more than a name in the variable may have no such function.
    name = os.environ.get("PYTHONBREAKPOINT", "").rpartition(".")[0]
    module = sys.modules.get(name) if name else None
    chosen = getattr(module, "post_mortem", None)
    if not callable(chosen):
        import pdb

        chosen = pdb.post_mortem
    # A person who leaves the debugger has seen enough. The step has failed all the same.
    with contextlib.suppress(BaseException):
        cast("Callable[[TracebackType | None], object]", chosen)(place)


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that begins with the user's own code. All of it when there is none."""
    found = trace
    while found is not None and is_ours(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or trace


def _asked_a_person(trace: TracebackType | None) -> bool:
    """Tell whether an exception was raised by the project's own call of `input`, which leaves no frame of its own."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    return "input" in trace.tb_frame.f_code.co_names and not sys.stdin.isatty()
