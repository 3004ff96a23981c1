"""The names of registries and images, read as Docker's users write them."""

import re

import msgspec

from fairway.spec.errors import UsageError
from fairway.spec.text import shortened

DOCKER_HUB = "docker.io"
_DOCKER_HUB_NAMES = ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_DOCKER_HUB_API = "registry-1.docker.io"

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?")
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?")
_LONGEST = 255


class Place(msgspec.Struct, frozen=True):
    """A registry, and the protocol to speak to it.

    Attributes:
        host: the name of the host, with its port if there is one.
        plain: True for HTTP without TLS.
    """

    host: str
    plain: bool = False

    @property
    def url(self) -> str:
        """Root of the registry's API."""
        host = _DOCKER_HUB_API if self.host == DOCKER_HUB else self.host
        return f"{'http' if self.plain else 'https'}://{host}"


class Repository(msgspec.Struct, frozen=True):
    """A repository of a registry, such as `ghcr.io/acme/fairway`."""

    place: Place
    path: str

    def __str__(self) -> str:
        return f"{self.place.host}/{self.path}"


class ImageName(msgspec.Struct, frozen=True):
    """A name of an image: a repository, and a tag or a digest in it.

    Attributes:
        repository: the repository.
        tag: the tag; empty if the name has only a digest.
        digest: the digest, such as `sha256:…`; empty if the name has only a tag. It wins over the tag.
    """

    repository: Repository
    tag: str = ""
    digest: str = ""

    @property
    def reference(self) -> str:
        """Part of the name that selects a manifest in the repository."""
        return self.digest or self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse_image(text: str, *, plain: bool = False) -> ImageName:
    """Return the image that a name means. A name without a tag and a digest means the tag `latest`.

    Args:
        text: the name, such as `python:3.11-slim` or `http://10.0.0.5:5000/team/python@sha256:…`.
        plain: True allows HTTP without TLS, as `http://` before the name does.

    Raises:
        UsageError: the name is not the name of an image.
    """
    rest, scheme = _without_scheme(text)
    rest, at, digest = rest.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _odd(text, f"its digest {shortened(digest, 80)!r} is not sha256: and 64 hexadecimal digits")
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, tag = rest, ""
    elif not _TAG.fullmatch(tag):
        raise _odd(
            text, f"its tag {shortened(tag, 80)!r} has other characters than letters, digits, '_', '.', '-'"
        )
    host, path = _split(path)
    if not _REPOSITORY.fullmatch(path) or len(path) > _LONGEST:
        raise _odd(text, f"{shortened(path, 80)!r} is not the path of a repository")
    repository = Repository(_place(host, scheme, plain, text), path)
    return ImageName(repository, tag or ("" if digest else "latest"), digest)


def parse_registry(text: str, *, plain: bool = False) -> Repository:
    """Return the registry, or the part of one, below which repositories are made. Its path may be empty.

    Args:
        text: such as `ghcr.io/acme`, `127.0.0.1:5000` or `http://10.0.0.5:5000`.
        plain: True allows HTTP without TLS, as `http://` before the name does.

    Raises:
        UsageError: the name is not the name of a registry.
    """
    rest, scheme = _without_scheme(text)
    host, _, path = rest.rstrip("/").partition("/")
    if "." not in host and ":" not in host and host != "localhost":
        raise UsageError(
            f"{shortened(text, 80)!r} does not begin with the host of a registry",
            hint=f"write the host too, such as `docker.io/{rest or 'NAME'}` or `registry.example.com:5000`",
        )
    if path and (not _REPOSITORY.fullmatch(path) or len(path) > _LONGEST - 32):
        raise _odd(text, f"{shortened(path, 80)!r} is not the path of a repository")
    return Repository(_place(host, scheme, plain, text), path)


def spoken_as(image: ImageName, root: Repository) -> ImageName:
    """Return an image with the protocol of a registry, if it is in that registry."""
    if image.repository.place.host != root.place.host:
        return image
    return ImageName(Repository(root.place, image.repository.path), image.tag, image.digest)


def below(root: Repository, name: str) -> Repository:
    """Return the repository with a name below a registry or a part of one."""
    return Repository(root.place, f"{root.path}/{name}" if root.path else name)


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine."""
    return bool(_LOOPBACK.fullmatch(host))


def _without_scheme(text: str) -> tuple[str, str]:
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text, ""
    if scheme.lower() not in ("http", "https"):
        raise _odd(
            text, f"{shortened(scheme, 20)!r} is not a protocol of registries, which are http and https"
        )
    return rest, scheme.lower()


def _split(path: str) -> tuple[str, str]:
    """Return host and path of a name. The first part is a host if it has a dot or a port, or is `localhost`."""
    first, slash, rest = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host = DOCKER_HUB if first in _DOCKER_HUB_NAMES else first
    else:
        host, rest = DOCKER_HUB, path
    if host == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return host, rest


def _place(host: str, scheme: str, plain: bool, text: str) -> Place:
    if not _HOST.fullmatch(host):
        raise _odd(text, f"{shortened(host, 80)!r} is not a host")
    host = DOCKER_HUB if host in _DOCKER_HUB_NAMES else host
    if scheme:
        return Place(host, scheme == "http")
    return Place(host, plain or is_loopback(host))


def _odd(text: str, why: str) -> UsageError:
    return UsageError(
        f"{shortened(text, 120)!r} is not the name of an image: {why}",
        hint="write it like `registry.example.com/team/python:3.11-slim`",
    )
