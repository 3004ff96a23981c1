"""The errors of the Kubernetes client: each is a sentence with a hint, told apart by what the caller may do next."""

import msgspec

from fairway.spec.errors import EXIT_NOT_ALLOWED, EXIT_NOT_FOUND, FairwayError, UsageError


class ClusterConfigError(UsageError):
    """The error for a kubeconfig, context or namespace that names no usable cluster. Nothing was sent."""


class CredentialsError(FairwayError):
    """The error for credentials that could not be made: a plugin failed, or a file cannot be read."""

    exit_code = EXIT_NOT_ALLOWED


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the API server about a request that it did not carry out.

    Attributes:
        status: the HTTP status. 0 if there was no answer.
        reason: one word, such as "AlreadyExists".
        said: the message, unchanged.
        kind: the plural of the kind that is meant, such as "pods".
        name: the name of the object that is meant.
    """

    status: int = 0
    reason: str = ""
    said: str = ""
    kind: str = ""
    name: str = ""


_PASSING = (401, 429, 500, 502, 503, 504)
"""Statuses of an API server in trouble. One that is starting says 401 as well, because it cannot check a token yet."""


class KubernetesError(FairwayError):
    """The error for an answer of the API server that is a refusal."""

    def __init__(
        self, message: str, *, hint: str = "", details: str = "", refusal: Refusal | None = None
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.refusal = refusal or Refusal()

    @property
    def status(self) -> int:
        """HTTP status of the answer. 0 if there was none."""
        return self.refusal.status

    @property
    def reason(self) -> str:
        """Reason of the refusal in one word, such as "AlreadyExists"."""
        return self.refusal.reason

    @property
    def is_passing(self) -> bool:
        """True if the API server may carry the same request out later, because it is in trouble now."""
        return self.status in _PASSING


class NotThere(KubernetesError):
    """The error for an object, kind or namespace that does not exist."""

    exit_code = EXIT_NOT_FOUND


class AlreadyThere(KubernetesError):
    """The error for a create of an object whose name is taken. It may be the caller's own, from an earlier try."""


class Conflict(KubernetesError):
    """The error for a change that another change came before, or that another manager owns."""


class Gone(KubernetesError):
    """The error for a version of the list that the API server no longer has (410). A new list mends it."""


class Forbidden(KubernetesError):
    """The error for a request that the user has no right to, or that a rule of the namespace refuses."""

    exit_code = EXIT_NOT_ALLOWED


class Unauthorized(KubernetesError):
    """The error for credentials that the API server does not accept (401)."""

    exit_code = EXIT_NOT_ALLOWED


class Invalid(KubernetesError):
    """The error for an object that the API server does not accept: a wrong value (422) or an unknown field (400)."""

    @property
    def is_passing(self) -> bool:
        """False: the object stays as it is, also where the status says otherwise."""
        return False


class Unknown(KubernetesError):
    """The error for a request without an answer. Nobody knows if it was carried out."""

    @property
    def is_passing(self) -> bool:
        """True, because the API server may answer later."""
        return True


class NotReached(Unknown):
    """The error for a server that no connection leads to. The last try was certainly not carried out."""
