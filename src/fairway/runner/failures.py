"""Records of failures: any exception of the user's code becomes a `Failure`.

The texts of such a record are bounded and hold no secret. Every store can write them, and every terminal can show them.
"""

import traceback

import msgspec

from fairway.author import describe, redaction, shadows, source, tracebacks, unfound
from fairway.author.ref import hint_for
from fairway.runner import debugging, processes
from fairway.spec.errors import FairwayError, StepFailed
from fairway.spec.run import Failure, Reason
from fairway.spec.text import bounded, legible, shortened


def of_code(error: BaseException, reason: Reason = Reason.USER) -> Failure:
    """Return the failure of a step or a pipeline."""
    try:
        found = _of_raised(error, reason)
    except processes.Terminated:
        raise
    except BaseException:  # The exception's own code, such as `__str__`, ran and raised.
        found = Failure(reason=reason, message=tracebacks.summary(error), details=tracebacks.folded(error))
    return _clean(found)


def of_import(error: BaseException, path: str) -> Failure:
    """Return the failure of the import of a project, with the user's own line."""
    try:
        found = _why_not_imported(error, path)
    except BaseException:  # The exception's own code ran and raised.
        found = _not_imported(error, path)
    return _clean(found)


def of_parameters(error: BaseException) -> Failure:
    """Return the failure of parameters that do not fit a pipeline."""
    if isinstance(error, FairwayError):
        return _clean(Failure(reason=Reason.USER, message=error.message, hint=error.hint))
    message = f"the parameters do not fit: {tracebacks.summary(error)}"
    return _clean(Failure(reason=Reason.USER, message=message))


def _clean(failure: Failure) -> Failure:
    # Secrets are removed first: a text that is cut first could keep half of a secret, which nobody would find.
    clean = redaction.refresh().text
    return msgspec.structs.replace(
        failure,
        message=legible(shortened(clean(failure.message), tracebacks.HEADLINE)),
        hint=legible(shortened(clean(failure.hint), tracebacks.HEADLINE)),
        details=legible(bounded(clean(failure.details), *tracebacks.SHOWN)),
    )


def _of_raised(error: BaseException, reason: Reason) -> Failure:
    details = tracebacks.folded(error)
    if isinstance(error, StepFailed) and error.step:
        return Failure(
            reason=Reason.UPSTREAM,
            message=error.message,
            hint=error.hint,
            details=error.details,
            cause=error.step,
        )
    if isinstance(error, FairwayError):
        keep = "" if reason is not Reason.USER else details
        return Failure(reason=reason, message=str(error.message), hint=str(error.hint), details=keep)
    if isinstance(error, SystemExit):
        message = f"the code called sys.exit({tracebacks.repr_of(error.code)})"
        return Failure(reason=reason, message=message, details=details)
    unheard = debugging.explain(error)
    if unheard is not None:
        return Failure(reason=reason, message=unheard[0], hint=unheard[1], details=details)
    message = tracebacks.headline(error)
    hint = hint_for(error) or _hint_for_module(error)
    if isinstance(error, MemoryError):
        reason = Reason.OOM
        message += f": the system refused more than the {processes.usage(0.0).memory >> 20} MiB it had"
        hint = "hold less at once, or run it where there is more memory"
    if isinstance(error, OSError) and error.errno == 28:
        hint = "free some space, then `fairway resume`"
    return Failure(reason=reason, message=message, hint=hint, details=details)


def _why_not_imported(error: BaseException, path: str) -> Failure:
    if isinstance(error, FairwayError):
        return Failure(reason=Reason.USER, message=str(error.message), hint=str(error.hint))
    unheard = debugging.explain(error)
    shadow = shadows.explain(error, describe.folders())
    if unheard is not None:
        message, hint = f"{path} could not be imported: {unheard[0]}", unheard[1]
    elif shadow is not None:
        message, hint = f"{path} could not be imported: {shadow[0]}", shadow[1]
    elif isinstance(error, ModuleNotFoundError) and error.name:
        message, hint = unfound.explain(error, path, describe.folders())
    else:
        return _not_imported(error, path)
    return Failure(reason=Reason.USER, message=message, hint=hint, details=tracebacks.folded(error))


def _hint_for_module(error: BaseException) -> str:
    """Return the hint for a module that is missing, or that another module hides, when a step imports it."""
    shadow = (
        shadows.explain(error, describe.folders())
        if isinstance(error, AttributeError | ImportError)
        else None
    )
    if shadow is not None:
        return f"{shadow[0]}: {shadow[1]}"
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    frames = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [path for path in frames if path.startswith("/") and source.is_project_file(path)]
    return unfound.explain(error, own[-1], describe.folders())[1] if own else ""


def _not_imported(error: BaseException, path: str) -> Failure:
    return Failure(
        reason=Reason.USER,
        message=f"{path} could not be imported: {tracebacks.summary(error)}",
        hint="fix the line shown and run again",
        details=tracebacks.folded(error),
    )
