"""The error for a project that a host could not import. Hosts of every kind report it in the same way."""

from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.run import Failure


def import_error(failure: Failure | None) -> FairwayError:
    """Return the error for a project that cannot be imported, with the user's traceback above the message.

    Without a failure, the project declares something impossible.
    """
    if failure is None:
        return FairwayError("the project could not be imported")
    if not failure.details:
        return UsageError(failure.message, hint=failure.hint)
    return FairwayError(failure.message, hint=failure.hint, details=failure.details)
