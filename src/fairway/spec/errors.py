"""The one base of every error a person can meet, and the exit code each kind ends a command with.

An error says what happened, where and why, as a sentence without a full stop; `hint` holds the next thing to
try. Nothing here may know who raises an error or how it is printed.
"""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_NOT_FOUND = 4
EXIT_NOT_ALLOWED = 5
EXIT_INTERRUPTED = 130


class FairwayError(Exception):
    """Something went wrong that a person can understand and act on.

    Args:
        message: what, where and why, without a full stop.
        hint: the next thing to try, usually a command in backticks; may be empty.
        details: the traceback of the user's code, where that failed; it is shown before the message.
    """

    exit_code = EXIT_FAILED

    def __init__(self, message: str, *, hint: str = "", details: str = "") -> None:
        super().__init__(f"{details}\n\n{message}" if details else message)
        self.message = message
        self.hint = hint
        self.details = details

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.details))


def _rebuild(kind: type[FairwayError], message: str, hint: str, details: str = "") -> FairwayError:
    return kind(message, hint=hint, details=details)


class UsageError(FairwayError):
    """The command, flag, argument or project file is not of the form it must have."""

    exit_code = EXIT_USAGE


class GateRefused(FairwayError):
    """A model did not meet the gates it was registered with; nothing was registered."""

    exit_code = EXIT_REFUSED


class NotFound(FairwayError):
    """A run, step, model, version, alias or endpoint of that name does not exist."""

    exit_code = EXIT_NOT_FOUND


class NotAllowed(FairwayError):
    """The caller may not do that: no token, a wrong token, or a refused origin."""

    exit_code = EXIT_NOT_ALLOWED


class Interrupted(FairwayError):
    """The person at the keyboard stopped it."""

    exit_code = EXIT_INTERRUPTED


class HostLost(FairwayError):
    """A host ended before it was of use; another may do better."""


class StorageError(FairwayError):
    """The store cannot be read or written: full disk, no permission, damaged or foreign content."""


class CorruptArtifact(StorageError):
    """The content of an artifact does not match its digest."""


class SerializationError(FairwayError):
    """A value cannot be stored or loaded in any format."""


class StepFailed(FairwayError):
    """A step ended without a result; raised where the pipeline uses the step's value.

    `message` names the step and the cause; `details` is the user's own traceback, when there is one.
    """

    def __init__(self, message: str, *, hint: str = "", step: str = "", details: str = "") -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.details = details

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_step, (self.message, self.hint, self.step, self.details))


def _rebuild_step(message: str, hint: str, step: str, details: str) -> StepFailed:
    return StepFailed(message, hint=hint, step=step, details=details)
