"""The base of every error that a person can meet, and the exit code with which each kind ends a command.

The message of an error is a sentence without a full stop that says what happened, where and why. `hint` is the next
thing to try. Nothing here may know who raises an error or how it is printed.
"""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_NOT_FOUND = 4
EXIT_NOT_ALLOWED = 5
EXIT_INTERRUPTED = 130


class FairwayError(Exception):
    """An error that a person can understand and act on.

    Args:
        message: the sentence: what, where and why, without a full stop.
        hint: the next thing to try, usually a command in backticks. It may be empty.
        details: the traceback of the user's code, if that failed. It is shown before the message.
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
    """The error for a command, flag, argument or project file that does not have the form it must have."""

    exit_code = EXIT_USAGE


class GateRefused(FairwayError):
    """The error for a model that did not meet its gates. Nothing was registered."""

    exit_code = EXIT_REFUSED


class NotFound(FairwayError):
    """The error for a run, step, model, version, alias or endpoint that does not exist."""

    exit_code = EXIT_NOT_FOUND


class NotAllowed(FairwayError):
    """The error for a caller that may not do something: no token, a wrong token, or a refused origin."""

    exit_code = EXIT_NOT_ALLOWED


class Interrupted(FairwayError):
    """The error for a command that the person at the keyboard stopped."""

    exit_code = EXIT_INTERRUPTED


class HostLost(FairwayError):
    """The error for a host that ended before it was of use. Another host may do better."""


class Unreachable(FairwayError):
    """The error for a platform that did not answer, or broke off. The request may have been carried out, or not."""


class StorageError(FairwayError):
    """The error for a store that cannot be read or written: full disk, no permission, damaged or foreign content."""


class CorruptArtifact(StorageError):
    """The error for an artifact whose content does not match its digest."""


class SerializationError(FairwayError):
    """The error for a value that no format can store or load."""


class StepFailed(FairwayError):
    """The error for a step that ended without a result. It is raised where the pipeline uses the step's value.

    `message` names the step and the cause. `details` is the user's own traceback, if there is one.
    """

    def __init__(self, message: str, *, hint: str = "", step: str = "", details: str = "") -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.details = details

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_step, (self.message, self.hint, self.step, self.details))


def _rebuild_step(message: str, hint: str, step: str, details: str) -> StepFailed:
    return StepFailed(message, hint=hint, step=step, details=details)
