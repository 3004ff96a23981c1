"""The way from this machine to the platform in a cluster: through the API server, with the user's own kubeconfig.

Requests go to the Service by the API server's proxy. Where that does not lead, they go through a forwarded port. Beside the
user's credentials, which end at the API server, each request has a token of an account of Fairway's without any right in
the cluster: which of these accounts a user may make tokens for is the user's role. Must not know what a request means.
"""

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import msgspec

from fairway.cluster.client import kinds
from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.calls import Response
from fairway.cluster.client.errors import Forbidden, KubernetesError, NotReached, NotThere, Unknown
from fairway.cluster.client.forward import ForwardedTransport
from fairway.cluster.client.refusals import status_of
from fairway.cluster.ways import FORWARD, PROXY, Memory, Pods
from fairway.spec import versions
from fairway.spec.errors import FairwayError, NotAllowed, NotFound, Unreachable
from fairway.spec.install import HTTP_PORT, ROLE_ACCOUNTS, SERVICE

_PORT = "http"
_TOKEN = "X-Fairway-Token"
_TOKEN_SECONDS = 3600
_RENEWED_SECONDS = 2700.0
"""Seconds after which a token is replaced, well before it expires."""

_SILENCE_SECONDS = 10.0
"""Seconds without an answer after which the other way is tried at the beginning."""

_READY_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_ANSWER_SECONDS = 300.0
_NO_ENDPOINTS = "no endpoints available"
_NOT_REACHED = "error trying to reach service"

Tell = Callable[..., None]


class _NotReady(Exception):
    """The error for a platform without a pod that is ready."""


class _NoWay(Exception):
    """The error for a way that does not lead to the platform, though another one may."""


class _Busy(Exception):
    """The error for an API server that could not answer just now. A later try may succeed."""


class _Barred(FairwayError):
    """The error for a platform to which no way leads."""


class _Open:
    """The connections of one event loop."""

    def __init__(self, access: Access, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.kube = Kubernetes(access)
        pods = Pods(self.kube)
        self.tunnels = httpx2.AsyncClient(
            transport=ForwardedTransport(self.kube, pods.ready, HTTP_PORT), base_url=f"http://{SERVICE}"
        )


class ThroughCluster:
    """The way to the API of the platform in a cluster.

    Args:
        name: the name of the target, for people.
        access: says where the cluster is, who asks, and in which namespace Fairway is installed.
        memory: the folder that remembers which way led to a target.
        tell: takes lines for the user.
    """

    patience = math.inf
    repeats = 60.0

    def __init__(self, name: str, access: Access, memory: Path, tell: Tell) -> None:
        self.place = name
        self._access = access
        self._memory = Memory(memory, access)
        self._tell = tell
        self._open: _Open | None = None
        self._way = ""
        self._was_reached = False
        self._role = ""
        self._token = ""
        self._token_until = 0.0
        self._connecting: asyncio.Lock | None = None

    @property
    def outdated(self) -> str:
        """The hint for a platform of another version."""
        return f"`fairway upgrade {self._where()}` brings the platform to version {versions.this()}"

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = "application/json",
        seconds: float = _ANSWER_SECONDS,
    ) -> tuple[int, bytes]:
        """Send a request to a path of the API. Return status and content of the answer.

        Raises:
            Unreachable: no answer came, after the platform was reached before.
            FairwayError: the platform cannot be reached, or does not fit this version.
        """
        opened = self._opened()
        try:
            if not self._way:
                await self._connect(opened)
            answer = await self._asked(opened, method, path, body, kind, seconds)
        except (_NotReady, _NoWay, _Busy) as error:
            if not isinstance(error, _Busy):
                self._way = ""
            raise Unreachable(self._not_ready() if isinstance(error, _NotReady) else str(error)) from None
        except (_Barred, KubernetesError) as error:
            # What refused at the first try is a mistake of somebody's. What refuses later will mend itself.
            if not self._was_reached:
                raise
            raise Unreachable(error.message, hint=error.hint) from None
        if answer.status == 413:
            raise FairwayError(
                f"a file of {len(body)} bytes is too large for what stands before the API server of {self.place}",
                hint="leave it out: `exclude` in [tool.fairway] of pyproject.toml",
            )
        return answer.status, answer.body

    async def close(self) -> None:
        """Close all connections."""
        opened, self._open = self._open, None
        if opened is not None and opened.loop is asyncio.get_running_loop():
            await opened.tunnels.aclose()
            await opened.kube.close()

    def _opened(self) -> _Open:
        """Return the connections of the running loop. Those of a loop that has ended are of no use any more."""
        loop = asyncio.get_running_loop()
        if self._open is None or self._open.loop is not loop:
            self._open = _Open(self._access, loop)
            self._connecting = asyncio.Lock()
        return self._open

    async def _asked(
        self, opened: _Open, method: str, path: str, body: bytes, kind: str, seconds: float
    ) -> Response:
        """Send a request with a token, and once more with a new one if the platform refuses the token."""
        for is_last in (False, True):
            headers = {"Content-Type": kind, _TOKEN: await self._current_token(opened.kube)}
            request = _Request(method, path, headers, body, seconds)
            answer = await self._send(opened, self._way, request)
            if answer.status != 401 or is_last:
                return answer
            self._token = ""
        raise AssertionError("the last try returns")

    async def _connect(self, opened: _Open) -> None:
        """Find the way to the platform, and check that it fits this version. Raises FairwayError."""
        assert self._connecting is not None
        async with self._connecting:
            if self._way:
                return
            until, is_told = time.monotonic() + _READY_SECONDS, False
            while True:
                try:
                    self._way = await self._found_way(opened)
                    self._was_reached = True
                    return
                except _Busy:
                    if time.monotonic() > until or self._was_reached:
                        raise
                except _NotReady:
                    await self._refuse_absent(opened.kube)
                    if time.monotonic() > until or self._was_reached:
                        raise Unreachable(self._not_ready(), hint=self._look()) from None
                    if not is_told:
                        self._tell(f"{self._not_ready()}; waiting for it")
                        is_told = True
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _found_way(self, opened: _Open) -> str:
        """Return the first way on which the platform answers. Raises _NotReady, _Busy, FairwayError."""
        ways = (FORWARD, PROXY) if self._memory.remembers_forward() else (PROXY, FORWARD)
        refused: list[str] = []
        for way in ways:
            try:
                answer = await self._send(opened, way, _Request("GET", "/healthz", {}, b"", _SILENCE_SECONDS))
            except NotReached:
                raise
            except _NoWay as error:
                refused.append(str(error))
                continue
            except (Unknown, Forbidden) as error:
                refused.append(error.refusal.said or error.message)
                continue
            self._check(answer)
            self._memory.remember(way)
            return way
        raise _Barred(
            f"the platform of {self.place} cannot be reached: {'; '.join(refused)}",
            hint=f"it needs `get` and `create` on services/proxy or on pods/portforward in namespace "
            f"{self._access.namespace}: {self._look()}",
        )

    async def _send(self, opened: _Open, way: str, request: "_Request") -> Response:
        """Send a request on a way. Raises _NotReady, _NoWay, KubernetesError."""
        if way == FORWARD:
            return await self._forwarded(opened, request)
        answer = await opened.kube.proxied(
            SERVICE,
            _PORT,
            request.method,
            request.path,
            headers=request.headers,
            body=request.body,
            timeout=request.seconds,
        )
        self._raise_for_proxy(answer)
        return answer

    async def _forwarded(self, opened: _Open, request: "_Request") -> Response:
        try:
            answer = await opened.tunnels.request(
                request.method,
                request.path,
                headers=request.headers,
                content=request.body,
                timeout=httpx2.Timeout(request.seconds),
            )
        except Pods.NoneReady:
            raise _NotReady from None
        except httpx2.HTTPError as error:
            raise Unknown(f"the platform of {self.place} did not answer: {type(error).__name__}") from error
        return Response(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    def _raise_for_proxy(self, answer: Response) -> None:
        """Raise an error for an answer that is not the platform's own, but the API server's or that of a proxy before it."""
        if answer.status < 400 or versions.HEADER in answer.headers:
            return
        status = status_of(answer.body)
        said = status.message if status is not None else answer.body[:200].decode(errors="replace")
        if answer.status == 503 and _NO_ENDPOINTS in said:
            raise _NotReady
        if answer.status == 404 and status is not None:
            raise _NotReady  # no such Service, which `_refuse_absent` finds out
        if answer.status == 413:
            return
        if answer.status in (429, 500, 504) and status is not None and _NOT_REACHED not in said:
            raise _Busy(f"the API server of {self.place} answers {answer.status}: {said[:300]}")
        raise _NoWay(f"the API server's proxy answers {answer.status}: {said[:300]}")

    def _check(self, answer: Response) -> None:
        """Refuse a platform that does not fit this version. Raises FairwayError."""
        theirs, ours = answer.headers.get(versions.HEADER, ""), versions.this()
        if not theirs:
            raise FairwayError(
                f"the Service {SERVICE} in namespace {self._access.namespace} is not Fairway's: it says no version",
                hint=self._look(),
            )
        if versions.fit(ours, theirs):
            return
        install = f"`pip install fairway-ml=={theirs}` here"
        upgrade = f"`fairway upgrade {self._where()}`"
        hint = f"{upgrade}, or {install}" if versions.is_older(theirs, ours) else install
        raise FairwayError(
            f"the platform of {self.place} is Fairway {theirs}, and this command is {ours}", hint=hint
        )

    async def _refuse_absent(self, kube: Kubernetes) -> None:
        """Refuse a namespace without Fairway. Raises NotFound."""
        try:
            await kube.get(kinds.SERVICE, SERVICE)
        except NotThere:
            raise NotFound(
                f"Fairway is not installed in namespace {self._access.namespace}{self._context()}",
                hint=f"`fairway install {self._where()}`",
            ) from None
        except (Forbidden, Unknown):
            return  # then nobody knows

    async def _current_token(self, kube: Kubernetes) -> str:
        """Return a token of the account with the most rights on the platform that this user may make one for."""
        if self._token and time.monotonic() < self._token_until:
            return self._token
        refused: list[KubernetesError] = []
        for role in (self._role,) if self._role else reversed(ROLE_ACCOUNTS):
            try:
                self._token = await kube.token(role, seconds=_TOKEN_SECONDS)
            except (Forbidden, NotThere) as error:
                refused.append(error)
                continue
            self._role, self._token_until = role, time.monotonic() + _RENEWED_SECONDS
            return self._token
        if all(isinstance(error, NotThere) for error in refused):
            await self._refuse_absent(kube)
        self._role = ""
        raise NotAllowed(
            f"this user may not make a token of {ROLE_ACCOUNTS[0]} in namespace {self._access.namespace}"
            f"{self._context()}, and so has no role in Fairway there",
            hint=f"who administers it gives the role: `{self._access.kubectl} -n {self._access.namespace} create role "
            f"{ROLE_ACCOUNTS[1]} --verb=create --resource=serviceaccounts/token --resource-name={ROLE_ACCOUNTS[1]}`",
        )

    def _not_ready(self) -> str:
        return f"the platform of {self.place} in namespace {self._access.namespace} is not ready"

    def _look(self) -> str:
        return f"`{self._access.kubectl} -n {self._access.namespace} get pods -l app.kubernetes.io/name={SERVICE}` shows its pod"

    def _where(self) -> str:
        """Return the options with which `fairway install` means the same place."""
        context = f"--context {self._access.context} " if self._access.context else ""
        return f"{context}--namespace {self._access.namespace}"

    def _context(self) -> str:
        return f" of context {self._access.context}" if self._access.context else ""


class _Request(msgspec.Struct, frozen=True):
    """A request to the platform, whatever way it goes."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    seconds: float
