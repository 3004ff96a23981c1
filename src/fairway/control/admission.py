"""The gate of a control plane in a cluster: who may pass is decided by a token, and by nothing in the address of a request.

The names by which a control plane is reached are not known: those of its Service, the address of a pod, the API server's own
behind its proxy. So the name in `Host` counts for nothing here. A page in a browser cannot send the header with the token to
another origin, and a request that a browser marks as coming from another origin is refused. Closed by default.
"""

from collections.abc import Collection
from typing import cast

from starlette.requests import Request

from fairway.control.bodies import BODY_LIMIT, Bodies, Body
from fairway.control.gate import Application, Receive, Scope, refuse
from fairway.control.headers import Headers, Send, safeguarded
from fairway.control.identity import PERSON, RUN, Caller, Credentials, People, allows
from fairway.control.refused import Refused
from fairway.control.routes import Entry
from fairway.control.store_routes import BODY, STORE
from fairway.control.store_routes import RUN as RUN_OF_REQUEST
from fairway.pages.visit import ACTOR
from fairway.spec.access import Actor, Role, acting

_CALLER = "fairway.caller"
_LONGEST = 16_384
_POLICY_VIOLATION = 1008


class ClusterGate:
    """An ASGI application in front of another.

    Args:
        people: tells whose token it is.
        pods: tells the run of a credential.
        public: exact paths that need neither.
    """

    def __init__(
        self, inner: Application, people: People, pods: Credentials, public: Collection[str]
    ) -> None:
        self._inner = inner
        self._people = people
        self._pods = pods
        self._public = frozenset(public)
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._inner(scope, receive, send)
            return
        if kind == "http":
            send = safeguarded(send, lambda status: None)
        # Content of any size is stored in pieces. Every other body is held as a whole.
        limit = None if scope["path"].startswith(f"{STORE}/") and scope.get("method") == "PUT" else BODY_LIMIT
        try:
            if kind != "http":
                raise Refused(403, "this kind of connection is not accepted")
            headers = cast("Headers", scope["headers"])
            _check_origin(headers)
            if scope["path"] not in self._public:
                scope[_CALLER] = caller = await self._caller(headers)
                scope[RUN_OF_REQUEST] = caller.run
                if caller.role is not None:
                    # The API server knows accounts and no people, so the account stands for the person.
                    scope[ACTOR] = actor = Actor(name=caller.name.rpartition(":")[2], role=caller.role)
                    acting.set(actor.name)
            self._bodies.check(headers, limit)
        except Refused as refused:
            if kind == "websocket":
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            else:
                await refuse(send, refused)
            return
        scope[BODY] = body = Body(self._bodies, receive, limit)
        try:
            await self._inner(scope, body, send)
        finally:
            body.release()

    async def _caller(self, headers: Headers) -> Caller:
        token, credential = _only(headers, PERSON), _only(headers, RUN)
        if token and credential:
            raise Refused(400, "a request has a token or a credential, and not both")
        if credential:
            return self._pods.caller(credential)
        if token:
            return await self._people.caller(token)
        raise Refused(401, "a token is needed", f"send it in the header `{PERSON}`")


def admit(request: Request, entry: Entry) -> None:
    """Let a caller through to a route that it may use. Raises Refused."""
    caller = cast("Caller | None", request.scope.get(_CALLER))
    if caller is None or not allows(caller, entry):
        raise Refused(403, *_why_not(caller, entry.role))


def _why_not(caller: Caller | None, needed: Role | None) -> tuple[str, str]:
    if caller is not None and caller.serves:
        return (
            "a model server may read content by its digest, and nothing else; so may a pod without a credential",
            "",
        )
    if caller is None or caller.role is None:
        return "this credential is for the store routes of its run alone", ""
    if needed is None:
        return "only pods of a run may do this", ""
    if needed is Role.ADMINISTRATOR:
        return (
            "roles on a cluster are given by Kubernetes",
            "give the right to create tokens of fairway-viewer",
        )
    return (
        f"this needs the role {needed.word}, and the token is of {caller.name}",
        f"ask for the right to create tokens of fairway-{needed.word}",
    )


def _only(headers: Headers, name: str) -> str:
    """Return the value of a header that may be given once; empty without it. Raises Refused."""
    wanted = name.lower().encode()
    given = [value for key, value in headers if key == wanted]
    if len(given) > 1 or any(len(value) > _LONGEST for value in given):
        raise Refused(400, f"the header {name} is given twice or is too long")
    try:
        return given[0].decode("ascii").strip() if given else ""
    except UnicodeDecodeError:
        raise Refused(400, f"the header {name} is not plain text") from None


def _check_origin(headers: Headers) -> None:
    if sum(name == b"host" for name, _ in headers) != 1:
        raise Refused(400, "a request has one host name")
    for name, value in headers:
        if name == b"origin":
            raise Refused(403, "requests from pages in a browser are not accepted")
        if name == b"sec-fetch-site" and value not in (b"same-origin", b"none"):
            raise Refused(403, "requests from other sites are not accepted")
