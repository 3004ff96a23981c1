"""The translation of what the API server refuses, and of what never reached it, into sentences with a hint."""

import datetime
import os
import re
import socket
from collections.abc import Iterator
from typing import cast

import httpx2
import msgspec

from fairway.cluster.client.access import Access
from fairway.cluster.client.auth import certificate_end
from fairway.cluster.client.calls import Call, Response
from fairway.cluster.client.errors import (
    AlreadyThere,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubernetesError,
    NotReached,
    NotThere,
    Refusal,
    Unauthorized,
    Unknown,
)

_MAX_SAID = 600
_NO_RIGHT = re.compile(r'^.*? is forbidden: User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource ')
_BAD_PATCH = "failed to create typed patch object"
"""Words of a server-side apply with an unknown field or a wrong type, which has the status 500."""
_NO_PAGE = "404 page not found"
"""The whole answer about an API group that the cluster does not know."""
_PASSING = (429, 500, 502, 503, 504)
_NO_NAMESPACE = re.compile(r'^namespaces "(?P<name>[^"]*)" not found$')
_RIGHTS_OF_NAMESPACE = re.compile(
    r"exceeded quota|violates PodSecurity|admission|maximum|minimum|being terminated"
)


class _Details(msgspec.Struct, frozen=True):
    name: str = ""
    kind: str = ""
    group: str = ""


class Status(msgspec.Struct, frozen=True):
    """The body of a refusal, and of an ERROR event in a watch."""

    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


def status_of(body: bytes) -> Status | None:
    """Return the refusal in a body, or None if the API server did not write it."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return status if status.kind == "Status" else None


def refused(call: Call, response: Response, access: Access) -> KubernetesError:
    """Return the error for an answer that is not the one that was asked for."""
    status = status_of(response.body)
    if status is None:
        return _strange(call, response, access)
    details = status.details or _Details()
    refusal = Refusal(
        status=response.status,
        reason=status.reason,
        said=status.message,
        kind=details.kind,
        name=details.name,
    )
    said = status.message[:_MAX_SAID]
    match response.status:
        case 401:
            return _unauthorized(call, access, refusal)
        case 403:
            return _forbidden(call, access, refusal)
        case 404:
            return _not_there(call, access, refusal)
        case 409 if status.reason == "AlreadyExists":
            return AlreadyThere(
                f"there is already {call.meant}",
                hint=f"`{access.kubectl} get {_address(call, call.name)}` shows it",
                refusal=refusal,
            )
        case 409:
            return Conflict(
                f"{call.meant} was not changed: {said}", hint=_look(call, access), refusal=refusal
            )
        case 410:
            return Gone(f"the list of {call.meant} is too old to go on: {said}", hint="", refusal=refusal)
        case 400 | 422 | 500 if response.status != 500 or _BAD_PATCH in said:
            return Invalid(
                f"the API server does not accept {call.meant}: {said}",
                hint=_look(call, access),
                refusal=refusal,
            )
        case _:
            return KubernetesError(
                f"the API server answered {response.status} when it was asked to {call.verb} {call.meant}: {said}",
                hint=f"try again; `{access.kubectl} get --raw /readyz?verbose` shows its state",
                refusal=refusal,
            )


def is_passing(response: Response) -> bool:
    """Tell whether a later try of the same request may not be refused."""
    return response.status in _PASSING and _BAD_PATCH.encode() not in response.body


def is_answer_of_server(response: Response) -> bool:
    """Tell whether the API server itself wrote a refusal, and not what stands before or behind it."""
    return status_of(response.body) is not None


def _address(call: Call, name: str = "") -> str:
    resource = call.resource.partition("/")[0]
    kind = f"{resource}.{call.group}" if call.group else resource
    return " ".join(part for part in (kind, name, f"-n {call.namespace}" if call.namespace else "") if part)


def _look(call: Call, access: Access) -> str:
    return (
        f"`{access.kubectl} get {_address(call, call.name)} -o yaml` shows what is there" if call.name else ""
    )


def _unauthorized(call: Call, access: Access, refusal: Refusal) -> KubernetesError:
    if call.token:
        return Unauthorized(
            "the API server does not accept the token", hint="get a new one and try again", refusal=refusal
        )
    given = access.credentials
    who = f"of the user {access.user!r} " if access.user else ""
    what, hint = "no credentials were given", "add a user to the context: `kubectl config set-context`"
    if given.plugin is not None:
        what = f"the plugin {given.plugin.command!r} makes credentials that it refuses"
        hint = given.plugin.hint or "sign in again with the tool that made the kubeconfig"
    elif given.token_file or given.token:
        what, hint = (
            "the token has expired or was withdrawn",
            "get a new kubeconfig or token from your cluster",
        )
    elif given.certificate:
        what, hint = _certificate_words(given.certificate), "get a new kubeconfig from your cluster"
    elif given.username:
        what, hint = "no current cluster takes a password", "get a new kubeconfig from your cluster"
    return Unauthorized(
        f"the cluster at {access.server} does not accept the credentials {who}in the context {access.context!r}: {what}"
        if access.context
        else f"the cluster at {access.server} does not accept the credentials of this process: {what}",
        hint=hint,
        refusal=refusal,
    )


def _certificate_words(certificate: bytes) -> str:
    end = certificate_end(certificate)
    if end is not None and end < datetime.datetime.now(datetime.UTC):
        return f"the client certificate expired at {end:%Y-%m-%d %H:%M} UTC"
    return "it does not know who signed the client certificate"


def _forbidden(call: Call, access: Access, refusal: Refusal) -> KubernetesError:
    found = _NO_RIGHT.match(refusal.said)
    if found is None:
        why = refusal.said[:_MAX_SAID]
        hint = f"`{access.kubectl} describe quota,limitrange -n {call.namespace}` and the namespace's labels show its rules"
        return Forbidden(
            f"the cluster refuses to {call.verb} {call.meant}: {why}",
            hint=hint if _RIGHTS_OF_NAMESPACE.search(why) else "",
            refusal=refusal,
        )
    resource, _, part = call.resource.partition("/")
    asked = f"{resource}.{call.group}" if call.group else resource
    asked += f" --subresource={part}" if part else ""
    asked += f" -n {call.namespace}" if call.namespace else ""
    question = f"`{access.kubectl} auth can-i {found['verb']} {asked}`"
    return Forbidden(
        f"{found['user']} may not {found['verb']} {call.meant}",
        hint=f"ask an administrator for the right; {question} tells if it is there",
        refusal=refusal,
    )


def _not_there(call: Call, access: Access, refusal: Refusal) -> KubernetesError:
    missing = _NO_NAMESPACE.match(refusal.said)
    if missing is not None and call.resource != "namespaces":
        name = missing["name"]
        return NotThere(
            f"there is no namespace {name!r} in the cluster at {access.server}",
            hint=f"`{access.kubectl} create namespace {name}`, or choose another one by `--namespace`",
            refusal=refusal,
        )
    # A path that no kind has is answered without details.
    if not refusal.kind:
        return NotThere(
            f"the cluster at {access.server} does not know {call.resource}{'.' if call.group else ''}{call.group}",
            hint=f"`{access.kubectl} api-resources` lists what it knows",
            refusal=refusal,
        )
    place = f"`{access.kubectl} get {_address(call)}` lists those that there are"
    return NotThere(f"there is no {call.meant}", hint=place, refusal=refusal)


def _strange(call: Call, response: Response, access: Access) -> KubernetesError:
    """Return the error for an answer that no API server gave: a proxy, a sign-in page or a load balancer did."""
    words = response.body[:200].decode(errors="replace").strip().partition("\n")[0]
    if response.status == 404 and words == _NO_PAGE:
        return _not_there(call, access, Refusal(status=404, said=words))
    target = response.headers.get("location", "")
    what = (
        f"a redirect to {target.partition('?')[0]}" if target else f"{words!r}" if words else "an empty body"
    )
    refusal = Refusal(status=response.status, said=words)
    if response.status in (502, 503, 504):
        return Unknown(
            f"{access.server} answered {response.status} without a word of the API server: {what}",
            hint="a load balancer or proxy before the cluster has lost it; try again",
            refusal=refusal,
        )
    kinds = {401: Unauthorized, 403: Forbidden, 404: NotThere}
    return kinds.get(response.status, KubernetesError)(
        f"what answers at {access.server} is no Kubernetes API server: it said {response.status} with {what}",
        hint=f"check the server of the context: `{access.kubectl} cluster-info`",
        refusal=refusal,
    )


# What never reached it ----------------------------------------------------------------------------------------------


def unanswered(call: Call, error: Exception, access: Access) -> Unknown:
    """Return the error for a request without an answer, told apart by whether it can have been carried out."""
    hint = f"check that the cluster runs, and the context: `{access.kubectl} cluster-info`"
    if isinstance(error, httpx2.ProxyError):
        return NotReached(
            f"the proxy {_without_password(access.trust.proxy)} does not lead to the cluster at {access.server}: {error}",
            hint="check `proxy-url` in the kubeconfig, and HTTPS_PROXY and NO_PROXY",
        )
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        why, better = _reason(error, access)
        return NotReached(f"no cluster answers at {access.server}: {why}", hint=better or hint)
    late = isinstance(error, TimeoutError | httpx2.TimeoutException)
    why = f"no answer came within {call.seconds:g} s" if late else f"the connection broke ({_words(error)})"
    lost = "" if call.method == "GET" else ", so nobody knows if it was done"
    asked = f"{call.verb or call.method} {call.meant}"
    return Unknown(
        f"the cluster at {access.server} did not answer when it was asked to {asked}: {why}{lost}",
        hint=_look(call, access) or hint,
    )


def is_distrusted(error: BaseException) -> bool:
    """Tell whether a connection failed because of a certificate, which no second try changes."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _reason(error: Exception, access: Access) -> tuple[str, str]:
    """Return why no connection came to be, and a hint if there is a better one than the usual."""
    words = str(error)
    if is_distrusted(error):
        why = words.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or words
        if "ismatch" in why or "not valid for" in why:
            return (
                f"its certificate has another name ({why})",
                "set `tls-server-name` of the cluster in the kubeconfig",
            )
        return (
            f"its certificate is not trusted ({why})",
            "the kubeconfig has no `certificate-authority-data` of this cluster: get it again",
        )
    if isinstance(error, httpx2.TimeoutException):
        return "the connection did not come about in time", ""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"its name is not known ({cause.strerror})", ""
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower(), ""
    return _words(error), ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [cause for cause in (each.__cause__, each.__context__) if cause is not None]
        if isinstance(each, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", each).exceptions


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _without_password(proxy: str) -> str:
    return re.sub(r"//[^/@]*@", "//", proxy)
