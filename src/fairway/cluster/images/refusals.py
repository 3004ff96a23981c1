"""The errors of registries: the sentence for each refusal, with the next thing to do."""

import ssl
from collections.abc import Iterable

import httpx2
import msgspec

from fairway.cluster.images.credentials import Login
from fairway.cluster.images.names import DOCKER_HUB, Place, Repository
from fairway.spec.errors import FairwayError, NotAllowed, NotFound
from fairway.spec.text import one_line, shortened

_TLS_TO_PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")


class RegistryError(FairwayError):
    """An error: a registry refused a request, or answered in a way that has no meaning."""


class RegistryUnreachable(FairwayError):
    """An error: a registry did not answer, or the connection broke. Another try may do better."""


class RegistryDenied(NotAllowed):
    """An error: a registry does not allow a request with the user's login, or wants a login."""


class NoSuchImage(NotFound):
    """An error: a registry has no such image, or nothing for the platform."""


class _Reported(msgspec.Struct):
    """An error in the body of a refusal."""

    code: str = ""
    message: str | None = ""


class _Body(msgspec.Struct):
    """The body of a refusal."""

    errors: list[_Reported] | None = None


class Refusal(msgspec.Struct, frozen=True):
    """A refusal of a registry.

    Attributes:
        status: the HTTP status.
        codes: the codes of errors, such as `NAME_UNKNOWN`.
        text: the messages, for people.
    """

    status: int
    codes: tuple[str, ...] = ()
    text: str = ""


def parse_refusal(status: int, body: bytes) -> Refusal:
    """Return the refusal that a response describes."""
    try:
        found = msgspec.json.decode(body, type=_Body).errors or []
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = "" if b"<" in body[:200] else body[:400].decode(errors="replace").strip()
        return Refusal(status, (), one_line(text))
    texts = [one.message for one in found if one.message]
    return Refusal(status, tuple(one.code for one in found), one_line("; ".join(texts)))


def explain(refusal: Refusal, repository: Repository, doing: str, login: Login) -> FairwayError:
    """Return the error for a refusal.

    Args:
        refusal: the refusal.
        repository: the repository that the request was about.
        doing: the request in words, such as `push to`.
        login: the user's login at the registry.
    """
    said = f": {shortened(refusal.text, 200)}" if refusal.text else f" (HTTP {refusal.status})"
    unknown = "NAME_UNKNOWN" in refusal.codes or "NOT_FOUND" in refusal.codes
    if unknown and doing == "pull":
        return no_image(str(repository))
    if unknown or (doing == "push" and "not exist" in refusal.text):
        return RegistryError(
            f"{repository.place.host} has no repository {repository.path}, and a push does not make it{said}",
            hint=f"make it first, {_how_to_make(repository)}",
        )
    if refusal.status in (401, 403):
        return denied(
            repository.place, login, [f"repository:{repository.path}:{doing}"], refusal.status, said
        )
    if "HTTP request to an HTTPS server" in refusal.text:
        host = repository.place.host
        return RegistryError(
            f"{host} wants TLS and was asked in plain HTTP", hint=f"write it as `https://{host}`"
        )
    if refusal.status == 413:
        return RegistryError(
            f"something in front of {repository.place.host} does not let uploads of this size pass{said}",
            hint="let whoever runs it raise the limit of a body, such as nginx's client_max_body_size",
        )
    if refusal.status == 429 or "TOOMANYREQUESTS" in refusal.codes:
        return RegistryUnreachable(
            f"{repository.place.host} takes no more requests for now{said}",
            hint="" if login else f"`docker login {repository.place.host}` raises the limit; or wait an hour",
        )
    if refusal.status >= 500:
        return RegistryUnreachable(
            f"{repository.place.host} failed to {doing} {repository.path}{said}", hint="try again in a minute"
        )
    return RegistryError(f"{repository.place.host} refused to {doing} {repository.path}{said}")


def denied(place: Place, login: Login, scopes: Iterable[str], status: int, said: str = "") -> RegistryDenied:
    """Return the error for a request that the user's login does not allow."""
    named = sorted({scope.split(":")[1] for scope in scopes if scope.count(":") >= 2})
    about = f" to {', '.join(named)}" if named else ""
    if not login:
        return RegistryDenied(
            f"{place.host} wants a login for access{about}, and there is none{said or f' (HTTP {status})'}",
            hint=f"`docker login {place.host}`, or name a registry that you may use",
        )
    who = f"{login.user}" if login.user and not login.is_token else "the login"
    return RegistryDenied(
        f"{place.host} does not allow {who}, found in {login.found}, access{about}{said or f' (HTTP {status})'}",
        hint=f"`docker login {place.host}` with an account that may do this, or ask for the right to push",
    )


def no_image(name: str, why: str = "there is no such image") -> NoSuchImage:
    """Return the error for an image that is not there."""
    return NoSuchImage(f"cannot use {name}: {why}", hint="check the name, the tag and the digest")


def unreachable(host: str, error: Exception, *, plain: bool) -> FairwayError:
    """Return the error for a request that got no answer."""
    text = _cause(error)
    if not plain and any(mark in text.upper().replace(" ", "_") for mark in _TLS_TO_PLAIN):
        return RegistryError(
            f"{host} speaks plain HTTP, and TLS was expected",
            hint=f"if the network to it is trusted, write it as `http://{host}`",
        )
    if "CERTIFICATE" in text.upper():
        return RegistryError(
            f"the certificate of {host} is not trusted on this machine: {shortened(text, 200)}",
            hint="`export SSL_CERT_FILE=FILE` names the certificates to trust",
        )
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ReadTimeout | httpx2.WriteTimeout):
        return RegistryUnreachable(f"{host} does not answer", hint="check the name, the network and proxies")
    if isinstance(error, httpx2.ConnectError):
        return RegistryUnreachable(
            f"{host} cannot be reached: {shortened(text, 200)}",
            hint="check the name, the network and proxies",
        )
    return RegistryUnreachable(f"the connection to {host} broke: {shortened(text, 200)}", hint="try again")


def _cause(error: BaseException) -> str:
    """Return the text of an error, or of the error that caused it, if its own is empty."""
    at: BaseException | None = error
    texts: list[str] = []
    while at is not None and len(texts) < 8:
        texts.append(f"{getattr(at, 'reason', '')} {at}" if isinstance(at, ssl.SSLError) else str(at))
        at = at.__cause__ or at.__context__
    return one_line(next((text for text in texts if text.strip()), type(error).__name__))


def _how_to_make(repository: Repository) -> str:
    host, path = repository.place.host, repository.path
    if ".dkr.ecr." in host:
        return f"with `aws ecr create-repository --repository-name {path}`"
    if host.endswith("-docker.pkg.dev"):
        parts = path.split("/")
        named = parts[1] if len(parts) > 1 else parts[0]
        where = host.removesuffix("-docker.pkg.dev")
        return f"with `gcloud artifacts repositories create {named} --repository-format=docker --location={where}`"
    if host == DOCKER_HUB:
        return f"on the pages of Docker Hub, below {path.split('/')[0]}"
    return f"in the way of that registry (a project or repository {path.split('/')[0]!r})"
