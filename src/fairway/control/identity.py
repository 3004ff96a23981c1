"""The identity of a caller of a control plane, and what each one may do.

A person shows a Kubernetes token of one of three accounts without any right. The API server says whose token it is, and the
name of the account is the role. A pod shows the credential of its run, and a model server the token of its account. Must not
know how the API server is asked.
"""

import hashlib
import hmac
import secrets
import time
from asyncio import Future, ensure_future
from collections.abc import Awaitable, Callable

import msgspec

from fairway.control.refused import Refused
from fairway.control.routes import Entry
from fairway.spec.access import Role
from fairway.spec.errors import FairwayError
from fairway.spec.install import SERVER_ACCOUNT, STEP_ACCOUNT

PERSON = "X-Fairway-Token"
"""Header with a person's token. `Authorization` would not do: the proxy of the API server removes it."""

RUN = "X-Fairway-Run"
"""Header with the credential of a run."""

_SECONDS = 60.0
_REFUSED_SECONDS = 5.0
_MOST_KNOWN = 1000
_ACCOUNT = "system:serviceaccount:"

Review = Callable[[str], Awaitable[str]]
"""Function that returns the name of the account that a token belongs to; empty for a token that is not valid."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The sender of a request: a person with a role, a pod of a run, or a pod that only fetches content."""

    name: str
    role: Role | None = None
    run: str = ""
    serves: bool = False


Route = tuple[str, str]
"""A route as method and path, as declared."""

PODS: frozenset[Route] = frozenset(
    {
        ("GET", "/api/v1/store/blobs/{digest}"),
        ("PUT", "/api/v1/store/blobs/{digest}"),
        ("POST", "/api/v1/store/missing"),
        ("GET", "/api/v1/store/results/{run}/{step}/{attempt}"),
        ("PUT", "/api/v1/store/results/{run}/{step}/{attempt}"),
    }
)
"""The routes that a pod may use with the credential of its run."""

SERVERS: frozenset[Route] = frozenset({("GET", "/api/v1/store/blobs/{digest}")})
"""The routes that model servers, and pods of runs before they have a credential, may use with the token of their account."""


class People:
    """The people of an installation, and its pods that only fetch content.

    Args:
        review: asks the API server whose token it is.
        namespace: the namespace of the accounts that have a role.
        clock: returns seconds that never go back.
    """

    def __init__(self, review: Review, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._review = review
        self._clock = clock
        self._roles = {
            f"{_ACCOUNT}{namespace}:fairway-{role.word}": role for role in Role if role < Role.ADMINISTRATOR
        }
        # A pod of a run has no credential yet when it fetches the packages of its environment.
        self._fetching = {f"{_ACCOUNT}{namespace}:{account}" for account in (SERVER_ACCOUNT, STEP_ACCOUNT)}
        self._known: dict[bytes, tuple[float, str]] = {}
        self._asked: dict[bytes, Future[str]] = {}

    async def caller(self, token: str) -> Caller:
        """Return whose token it is.

        Raises:
            Refused: it is not valid, or of an account without a role, or the API server cannot be asked.
        """
        name = await self._account(token)
        if not name:
            raise Refused(
                401,
                "the token is not valid or has expired",
                "send a new one: `kubectl create token fairway-viewer`",
            )
        if name in self._fetching:
            return Caller(name=name, serves=True)
        role = self._roles.get(name)
        if role is None:
            accounts = ", ".join(account.rpartition(":")[2] for account in self._roles)
            raise Refused(
                403, f"{name[:200]} has no role here", f"use a token of one of the accounts {accounts}"
            )
        return Caller(name=name, role=role)

    async def _account(self, token: str) -> str:
        # Only a hash is kept. A token in memory could be read from a dump of the process.
        key = hashlib.sha256(token.encode()).digest()
        until, name = self._known.get(key, (0.0, ""))
        if until > self._clock():
            return name
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = ensure_future(self._reviewed(key, token))
            asked.add_done_callback(lambda _: self._asked.pop(key, None))
        try:
            return await asked
        except FairwayError as error:
            raise Refused(
                503, f"the token cannot be checked now: {error.message}", "ask again in a few seconds"
            ) from None

    async def _reviewed(self, key: bytes, token: str) -> str:
        name = await self._review(token)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = (self._clock() + (_SECONDS if name else _REFUSED_SECONDS), name)
        return name


class Credentials:
    """The credentials of runs. Each is random, is kept in memory alone, and ends with its run or with this process."""

    def __init__(self) -> None:
        self._of_run: dict[str, str] = {}
        self._runs: dict[bytes, str] = {}

    def credential_for(self, run: str) -> str:
        """Return the credential of a run, and make it if there is none."""
        found = self._of_run.get(run)
        if found is None:
            found = self._of_run[run] = secrets.token_hex(32)
            self._runs[_hashed(found)] = run
        return found

    def revoke(self, run: str) -> None:
        """End the credential of a run, because the run is over."""
        found = self._of_run.pop(run, None)
        if found is not None:
            del self._runs[_hashed(found)]

    def caller(self, credential: str) -> Caller:
        """Return the run that a credential belongs to. Raises Refused."""
        # The hash is looked up, so the time that this takes tells nothing about the credential. It is compared as well.
        run = self._runs.get(_hashed(credential), "")
        if not hmac.compare_digest(self._of_run.get(run, " ").encode(), credential.encode()):
            raise Refused(
                401,
                "the credential is not of a run that is at work",
                "a pod gets a new one when it says hello",
            )
        return Caller(name=f"run {run}", run=run)


def allows(caller: Caller, entry: Entry) -> bool:
    """Tell whether a caller may use a route that is not public."""
    route = (entry.method, entry.path)
    if caller.run:
        return route in PODS
    if caller.serves:
        return route in SERVERS
    needed = entry.role
    return needed is not None and caller.role is not None and caller.role >= needed


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
