"""Why attempts and hosts ended without a result, for people: every such text stands here."""

import os
import signal

from fairway.spec.quantities import format_duration, format_memory
from fairway.spec.run import Failure, Reason, StepSpec, out_of_memory
from fairway.spec.wire import Exited

_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}


def ended_without_record(message: Exited, spec: StepSpec | None) -> Failure:
    """Why a process left no result, from how it ended."""
    task = spec.task if spec is not None else "the pipeline"
    peak = format_memory(message.usage.memory)
    if message.over_memory and spec is not None:
        return out_of_memory(message.usage.memory, spec.resources.memory)
    if message.timed_out and spec is not None:
        return Failure(
            reason=Reason.TIMEOUT,
            message=f"timed out after {format_duration(spec.timeout)}",
            hint="raise `timeout=` of the task, or make it faster",
        )
    if message.stopped:
        return Failure(reason=Reason.CANCELLED, message="cancelled")
    if os.WIFSIGNALED(message.status):
        number = os.WTERMSIG(message.status)
        name = signal.Signals(number).name
        if number == signal.SIGKILL:
            text, hint = (
                f"the process was killed (SIGKILL) at {peak} of memory",
                ("when the system ran out of memory, give the task `memory=` so that fewer run at once"),
            )
        elif number in _FAULTS:
            text, hint = (
                f"the process crashed ({name})",
                f"a native library failed inside {task}; its last output is in the log",
            )
        else:
            text, hint = f"the process was ended by {name}", ""
        return Failure(reason=Reason.CRASH, message=text, hint=hint)
    code = os.waitstatus_to_exitcode(message.status)
    return Failure(
        reason=Reason.CRASH,
        message=f"the process ended with status {code} before {task} returned",
        hint="look for `os._exit` or a library that ends the process",
    )


def killed_from_outside(message: Exited) -> bool:
    """Whether a process was killed by something other than its own code or us."""
    own = message.timed_out or message.over_memory or message.stopped
    return not own and os.WIFSIGNALED(message.status) and os.WTERMSIG(message.status) == signal.SIGKILL
