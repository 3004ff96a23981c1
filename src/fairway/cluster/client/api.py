"""The verbs of the Kubernetes API: one method for each thing that Fairway asks of a cluster.

Objects are decoded into the type that the caller names. A type names only the fields that it needs, and others are
ignored, so that older and newer clusters are read alike.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypedDict, TypeVar, Unpack, overload

import msgspec

from fairway.cluster.client import kinds
from fairway.cluster.client.access import Access
from fairway.cluster.client.auth import is_token
from fairway.cluster.client.calls import SECONDS, Call, Response
from fairway.cluster.client.closing import Closing
from fairway.cluster.client.errors import Conflict, NotThere, Unauthorized
from fairway.cluster.client.identity import Identity, Reviewed
from fairway.cluster.client.kinds import Kind
from fairway.cluster.client.listing import Listed, Query, list_all
from fairway.cluster.client.output import printed
from fairway.cluster.client.transport import Transport
from fairway.cluster.client.watch import Snapshot, watch

T = TypeVar("T")

Object = dict[str, Any]
_MANAGER = "fairway"
_JSON = (("Content-Type", "application/json"),)
_APPLY = (("Content-Type", "application/apply-patch+yaml"),)
_MERGE = (("Content-Type", "application/merge-patch+json"),)
_BYTES_OF_A_LINE = 16
"""A low guess of the bytes in a line of a log: only the number of lines can be asked for."""


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    git_version: str = ""


class Sent(TypedDict, total=False):
    """The optional parts of a request through the Service proxy.

    Attributes:
        timeout: seconds to wait for the whole answer.
    """

    headers: Mapping[str, str]
    body: bytes
    timeout: float


class Kubernetes(Closing):
    """The API of one cluster. Use it as `async with Kubernetes(access) as kube`.

    Each method raises KubernetesError if the API server refuses, and Unknown if it does not answer.

    Args:
        access: says where the cluster is, who asks, and which namespace is meant if none is named.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self.transport = Transport(access)

    async def close(self) -> None:
        """Close all connections."""
        await self.transport.close()

    @overload
    async def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object: ...
    @overload
    async def get(self, kind: Kind, name: str, *, type: type[T], namespace: str | None = None) -> T: ...
    async def get(self, kind: Kind, name: str, *, type: Any = Object, namespace: str | None = None) -> Any:
        """Return an object. Raises NotThere if there is none of the name."""
        call = self._call("GET", "get", kind, namespace, name)
        return msgspec.json.decode((await self.transport.send(call)).body, type=type)

    @overload
    async def list(
        self, kind: Kind, *, labels: str = "", fields: str = "", namespace: str | None = None
    ) -> Listed[Object]: ...
    @overload
    async def list(
        self, kind: Kind, *, labels: str = "", fields: str = "", type: type[T], namespace: str | None = None
    ) -> Listed[T]: ...
    async def list(
        self,
        kind: Kind,
        *,
        labels: str = "",
        fields: str = "",
        type: Any = Object,
        namespace: str | None = None,
    ) -> Any:
        """Return all objects of a kind in a namespace that have labels and fields.

        Args:
            labels: a label selector, such as "fairway.dev/run=ab12".
            fields: a field selector, such as "metadata.name=x".
        """
        return await list_all(self.transport, self._query(kind, labels, fields, namespace), type)

    @overload
    def watch(
        self, kind: Kind, *, labels: str = "", fields: str = "", namespace: str | None = None
    ) -> AsyncIterator[Snapshot[Object]]: ...
    @overload
    def watch(
        self, kind: Kind, *, labels: str = "", fields: str = "", type: type[T], namespace: str | None = None
    ) -> AsyncIterator[Snapshot[T]]: ...
    def watch(
        self,
        kind: Kind,
        *,
        labels: str = "",
        fields: str = "",
        type: Any = Object,
        namespace: str | None = None,
    ) -> AsyncIterator[Any]:
        """Yield what there is of a kind, now and after each change, for ever. Breaks of the connection heal.

        Raises:
            KubernetesError: the very first list was refused. What comes later is tried again for ever.
        """
        return watch(self.transport, self._query(kind, labels, fields, namespace), type)

    async def create(
        self,
        kind: Kind,
        body: object,
        *,
        type: Any = Object,
        dry_run: bool = False,
        namespace: str | None = None,
    ) -> Any:
        """Create an object and return it as the cluster keeps it. An unknown field is refused.

        The name of the object must follow from what it is for: the request is sent again if it was not answered, and
        AlreadyThere then may mean that the earlier try came through.

        Raises:
            AlreadyThere: the name is taken.
            Invalid: a field is unknown, or has a wrong value.
        """
        document = _document(kind, body)
        named: str = (document.get("metadata") or Object()).get("name", "")
        call = self._call("POST", "create", kind, namespace, named)
        return await self._change(
            msgspec.structs.replace(
                call,
                path=kind.path(call.namespace),
                # A name that the server makes would be another one at a second try.
                repeatable=bool(named),
                headers=_JSON,
                body=msgspec.json.encode(document),
                query=_changing(dry_run),
            ),
            type,
        )

    async def apply(
        self,
        kind: Kind,
        name: str,
        body: object,
        *,
        type: Any = Object,
        dry_run: bool = False,
        force: bool = False,
    ) -> Any:
        """Make an object have the fields of a body, create it if it is absent, and return it (server-side apply).

        Args:
            force: take fields that another manager owns.

        Raises:
            Conflict: another manager owns a field, and `force` is False.
            Invalid: a field is unknown, or has a wrong value.
        """
        document = _document(kind, body, name)
        namespace = document.get("metadata", {}).get("namespace")
        call = self._call("PATCH", "patch", kind, namespace, name)
        query = (*_changing(dry_run), ("force", "true" if force else ""))
        content = msgspec.json.encode(document)
        return await self._change(
            msgspec.structs.replace(call, headers=_APPLY, body=content, query=query), type
        )

    async def patch(
        self,
        kind: Kind,
        name: str,
        body: object,
        *,
        type: Any = Object,
        subresource: str = "",
        namespace: str | None = None,
    ) -> Any:
        """Change the fields of an object that a body names, and return it (merge patch). None removes a field."""
        call = self._call("PATCH", "patch", kind, namespace, name, subresource)
        content = msgspec.json.encode(body)
        return await self._change(
            msgspec.structs.replace(call, headers=_MERGE, body=content, query=_changing(False)), type
        )

    async def delete(
        self,
        kind: Kind,
        name: str,
        *,
        grace: int | None = None,
        uid: str = "",
        at_once: bool = False,
        namespace: str | None = None,
    ) -> None:
        """Delete an object and what belongs to it. An absent one is done. The pods of a Job go before the Job does.

        The object is there, marked by a `deletionTimestamp`, until all that belongs to it is gone, unless it goes `at_once`.

        Args:
            at_once: let the object go first, so that its name is free. What belongs to it follows.
            grace: seconds that its processes get to end. None leaves that to the object.
            uid: delete only the object with this uid. One that has taken the name since is left alone.
        """
        policy = "Background" if at_once else "Foreground"
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        call = self._call("DELETE", "delete", kind, namespace, name)
        try:
            await self.transport.send(
                msgspec.structs.replace(call, headers=_JSON, body=msgspec.json.encode(options))
            )
        except NotThere as error:
            # A kind that the cluster does not know is a mistake, not an absent object.
            if not error.refusal.kind:
                raise
        except Conflict:
            if not uid or await self._is_there(kind, name, uid, namespace):
                raise

    async def _is_there(self, kind: Kind, name: str, uid: str, namespace: str | None) -> bool:
        try:
            found = await self.get(kind, name, namespace=namespace)
        except NotThere:
            return False
        return found["metadata"]["uid"] == uid

    async def log(
        self,
        pod: str,
        container: str = "",
        *,
        previous: bool = False,
        tail_bytes: int = 65536,
        namespace: str | None = None,
    ) -> bytes:
        """Return the end of a container's output: nothing, if the node has it no more.

        Args:
            container: may be empty for a pod with one container.
            previous: read the container that ran before the last restart.
            tail_bytes: the most bytes to return.
        """
        query = (
            ("container", container),
            ("previous", "true" if previous else ""),
            ("tailLines", str(max(100, tail_bytes // _BYTES_OF_A_LINE))),
        )
        call = msgspec.structs.replace(
            self._call("GET", "get", kinds.POD, namespace, pod, "log"), query=query
        )
        tail = bytearray()
        async with self.transport.stream(call) as response:
            async for part in response.aiter_bytes():
                tail += part
                del tail[:-tail_bytes]
        return printed(bytes(tail))

    async def token(
        self, account: str, *, seconds: int = 3600, audience: str = "", namespace: str | None = None
    ) -> str:
        """Return a new token of a service account. Ten minutes are the shortest life."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds, "audiences": [audience] if audience else []},
        }
        call = self._call("POST", "create", kinds.SERVICE_ACCOUNT, namespace, account, "token")
        reviewed = await self._change(
            msgspec.structs.replace(call, headers=_JSON, body=msgspec.json.encode(body)), Reviewed
        )
        return reviewed.status.token

    async def review_self(self, token: str | None = None) -> Identity:
        """Return whom the API server takes a token for. The user's own credentials are not sent beside it.

        Args:
            token: None asks about the user of the access. An empty one is refused and never taken for None.

        Raises:
            Unauthorized: the token is wrong, has expired, or is for another audience.
        """
        if token is not None and not is_token(token):
            raise Unauthorized("what was given as a token is none", hint="get a new one and try again")
        call = self._call("POST", "create", kinds.SELF_REVIEW, "", "")
        body = msgspec.json.encode(_document(kinds.SELF_REVIEW, {}))
        call = msgspec.structs.replace(call, headers=_JSON, body=body, token=token or "")
        return (await self._change(call, Reviewed)).status.user_info

    async def allowed(
        self, verb: str, resource: str, *, group: str = "", subresource: str = "", name: str = ""
    ) -> bool:
        """Tell whether the user may do something to a resource in the namespace of the access."""
        attributes = {
            "namespace": self.access.namespace,
            "verb": verb,
            "resource": resource,
            "group": group,
            "subresource": subresource,
            "name": name,
        }
        document = _document(kinds.ACCESS_REVIEW, {"spec": {"resourceAttributes": attributes}})
        call = self._call("POST", "create", kinds.ACCESS_REVIEW, "", "")
        call = msgspec.structs.replace(call, headers=_JSON, body=msgspec.json.encode(document))
        return (await self._change(call, Reviewed)).status.allowed

    async def version(self) -> str:
        """Return the version of the API server, such as "v1.37.2"."""
        call = Call(method="GET", path="/version", verb="get", resource="version")
        return (await self._change(call, _Version)).git_version

    async def serves(self, group: str) -> bool:
        """Tell whether the API server serves a group of kinds. Everybody may ask that."""
        try:
            await self.transport.send(Call(method="GET", path=f"/apis/{group}", verb="get", resource=group))
        except NotThere:
            return False
        return True

    async def proxied(
        self, service: str, port: str, method: str, path: str, **sent: Unpack[Sent]
    ) -> Response:
        """Send a request to a Service through the API server and return its answer, whatever its status is.

        The answer may be the API server's own: 403 without the right, 503 without a pod that is ready. `Authorization`
        does not arrive. The request is sent once.

        Args:
            port: the name of the port.
            path: the path at the Service, percent-encoded, with its query string.
            sent: what goes along, and how long to wait.
        """
        root = f"{kinds.SERVICE.path(self.access.namespace, f'{service}:{port}', 'proxy')}/{path.lstrip('/')}"
        verb = {"GET": "get", "POST": "create", "PUT": "update", "DELETE": "delete"}.get(method, "get")
        call = self._call(method, verb, kinds.SERVICE, None, f"{service}:{port}", "proxy")
        return await self.transport.exchange(
            msgspec.structs.replace(
                call,
                path=root,
                headers=tuple(sent.get("headers", {}).items()),
                body=sent.get("body", b""),
                repeatable=False,
                # A proxied request is no work for the API server's own store, and its limits do not count it either.
                counted=False,
                seconds=sent.get("timeout", SECONDS),
            )
        )

    async def _change(self, call: Call, type: type[T]) -> T:
        return msgspec.json.decode((await self.transport.send(call)).body, type=type)

    def _query(self, kind: Kind, labels: str, fields: str, namespace: str | None) -> Query:
        return Query(kind=kind, namespace=self._namespace(kind, namespace), labels=labels, fields=fields)

    def _namespace(self, kind: Kind, namespace: str | None) -> str:
        if not kind.namespaced:
            return ""
        return self.access.namespace if namespace is None else namespace

    def _call(
        self, method: str, verb: str, kind: Kind, namespace: str | None, name: str, subresource: str = ""
    ) -> Call:
        place = self._namespace(kind, namespace)
        return Call(
            method=method,
            path=kind.path(place, name, subresource),
            verb=verb,
            resource=f"{kind.plural}/{subresource}" if subresource else kind.plural,
            group=kind.group,
            kind=kind.name,
            name=name,
            namespace=place,
        )


def _changing(dry_run: bool) -> tuple[tuple[str, str], ...]:
    return (
        ("fieldManager", _MANAGER),
        ("fieldValidation", "Strict"),
        ("dryRun", "All" if dry_run else ""),
    )


def _document(kind: Kind, body: object, name: str = "") -> Object:
    """Return the body as plain values that say their kind, and their name if one is given."""
    document: Object = dict(msgspec.to_builtins(body))
    document = {"apiVersion": kind.api_version, "kind": kind.name, **document}
    if name:
        document["metadata"] = {**(document.get("metadata") or {}), "name": name}
    return document
