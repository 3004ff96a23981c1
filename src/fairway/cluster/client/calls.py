"""Requests to the API server and their answers, as values."""

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

SECONDS = 30.0
"""Seconds after which an answer is no longer waited for. It means that nobody knows, never that the server is down."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request.

    Attributes:
        path: the path at the API server, percent-encoded, with a query string if it has one of its own.
        token: a token to prove another identity with. It replaces all of the user's credentials.
        repeatable: True if a second one does no harm, also when the first one was carried out.
        counted: False if the request does not spend from the budget of requests a second.
        seconds: seconds to wait for the whole answer, or for the next part of a stream.
        verb: what is asked, as roles name it.
        resource: the resource that it is asked of, with its subresource.
        group: the API group of the resource.
        kind: the kind of the object, in the singular.
        name: the name of the object.
        namespace: the namespace of the object.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    token: str = ""
    repeatable: bool = True
    counted: bool = True
    seconds: float = SECONDS
    verb: str = ""
    resource: str = ""
    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""

    def __repr__(self) -> str:
        return f"Call({self.method} {self.path})"

    @property
    def target(self) -> str:
        """Path and query string."""
        given = [(name, value) for name, value in self.query if value]
        if not given:
            return self.path
        return f"{self.path}{'&' if '?' in self.path else '?'}{urlencode(given)}"

    @property
    def meant(self) -> str:
        """Words for the object or objects that the request is about."""
        what = f"{self.kind or self.resource} {self.name!r}" if self.name else self.resource or self.path
        return f"{what} in namespace {self.namespace!r}" if self.namespace else what


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. The names of its headers are in small letters."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
