"""The requests for runs that a platform refuses, because the run would not be carried out by the process that sends it."""

from fairway.formats import CODE_FORMATS, look
from fairway.spec.artifact import Artifact
from fairway.spec.errors import NotAllowed, SerializationError, UsageError
from fairway.spec.run import RunRequest

_LOOKED_INTO = ("json", "bundle")
"""Formats whose content names classes, or holds values of other formats."""


def refuse_without_file(request: RunRequest) -> None:
    """Refuse a pipeline that is in no file. Raises UsageError."""
    if request.pickled or not (request.file or request.resume):
        raise UsageError(
            "a pipeline that is in no file cannot be submitted to a platform",
            hint="write it into a .py file, or run it here: leave out `wait=False`",
        )


def refuse_code(request: RunRequest) -> None:
    """Refuse a value that could run code when it is read. Raises NotAllowed."""
    for name, artifact in (request.parameters or {}).items():
        if _can_run_code(artifact):
            raise NotAllowed(
                f"the value of {name} may run code when it is read ({artifact.kind or artifact.format}), "
                "and no platform takes such a value",
                hint="give it plain data, or run it here: leave out `wait=False`",
            )


def _can_run_code(artifact: Artifact) -> bool:
    """Tell whether a value could run code when it is read. The content of an inline value is inspected."""
    if artifact.format in CODE_FORMATS or artifact.code:
        return True
    if artifact.inline is None or artifact.format not in _LOOKED_INTO:
        return False
    try:
        look(artifact.format, artifact.inline, artifact.kind)
    except SerializationError:
        return True
    return False
