"""The client of one registry: find, read and write manifests and blobs, as the OCI distribution specification has it.

Blobs go through `uploading`. Every content that is read is compared with its digest.
"""

import asyncio
import contextlib
import hashlib
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path

import httpx2
import msgspec

from fairway.cluster.client.closing import Closing
from fairway.cluster.images.authorizing import Authorizer
from fairway.cluster.images.credentials import Login, find_login
from fairway.cluster.images.documents import ACCEPTED, digest_of
from fairway.cluster.images.names import ImageName, Place, Repository, is_loopback
from fairway.cluster.images.refusals import (
    Refusal,
    RegistryError,
    RegistryUnreachable,
    explain,
    no_image,
    parse_refusal,
    unreachable,
)
from fairway.spec.errors import FairwayError

_TIMEOUT = httpx2.Timeout(connect=15.0, read=90.0, write=90.0, pool=None)
_MANIFEST_MOST = 8 * 2**20
_REFUSAL_MOST = 64 * 1024
_TRIES = 5
_BREAKS = 2
_REPEATED = ("GET", "HEAD", "POST")
"""The methods of requests that are sent again after a broken connection. A `POST` begins an upload, of which one may lie idle."""

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 30.0
_CERTIFICATES = Path("/etc/docker/certs.d")


class Document(msgspec.Struct, frozen=True):
    """A manifest or an index as a registry has it."""

    media_type: str
    digest: str
    content: bytes


class Body(msgspec.Struct, frozen=True):
    """A body of a request that can be read again for another try.

    Attributes:
        size: the number of bytes.
        read: a function that starts an iterator over the bytes.
        headers: the headers that belong to it.
    """

    size: int
    read: Callable[[], AsyncIterator[bytes]]
    headers: Mapping[str, str]


class Registry(Closing):
    """A connection to a registry, with the login of the user.

    Args:
        place: the registry.
        login: the user's login; an empty one for none.
        certificates: a folder with certificates for registries, as Docker has it: `HOST/ca.crt`.
    """

    def __init__(self, place: Place, login: Login, *, certificates: Path = _CERTIFICATES) -> None:
        self.place = place
        self.login = login
        # A proxy of the environment is used for other machines and never for this one.
        self._client = httpx2.AsyncClient(
            timeout=_TIMEOUT,
            headers={"User-Agent": "fairway"},
            verify=_trusted(place, certificates),
            max_redirects=5,
            trust_env=not is_loopback(place.host),
        )
        self._authorizer = Authorizer(self._client, place, login)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def ping(self) -> None:
        """Ask the registry for a sign of life. Raises FairwayError if it gives none or is no registry."""
        async with self.request("GET", f"{self.place.url}/v2/") as response:
            if response.status_code not in (200, 401):
                raise RegistryError(
                    f"{self.place.host} is not a registry of images (HTTP {response.status_code} for /v2/)",
                    hint="check the name",
                )

    async def find(self, name: ImageName) -> str:
        """Return the digest of the manifest that a name selects; empty if there is none. Raises FairwayError."""
        async with self.request(
            "HEAD", self.manifest_url(name), pulls(name.repository), accept=True
        ) as found:
            if found.status_code == 404:
                return ""
            if found.status_code == 200 and (digest := found.headers.get("docker-content-digest", "")):
                return digest
            if found.status_code != 200:
                raise await self.refusal(found, name.repository, "pull")
        return (await self.manifest(name)).digest

    async def manifest(self, name: ImageName) -> Document:
        """Return the manifest or index that a name selects.

        Raises:
            NoSuchImage: there is none.
            FairwayError: the registry does not allow it, or its answer does not match the digest.
        """
        async with self.request("GET", self.manifest_url(name), pulls(name.repository), accept=True) as found:
            if found.status_code == 404:
                raise no_image(str(name))
            if found.status_code != 200:
                raise await self.refusal(found, name.repository, "pull")
            content = await _content(found, _MANIFEST_MOST, str(name))
            media_type = found.headers.get("content-type", "").partition(";")[0].strip()
        digest = digest_of(content)
        if name.digest and digest != name.digest:
            raise RegistryError(
                f"{self.place.host} answers for {name} with a content of digest {digest}",
                hint="do not use this registry before somebody has found out why",
            )
        return Document(media_type, digest, content)

    async def put_manifest(self, name: ImageName, media_type: str, content: bytes) -> None:
        """Store a manifest or an index under a name. Raises FairwayError."""
        body = Body(len(content), lambda: _once(content), {"Content-Type": media_type})
        url = self.manifest_url(name)
        for left in reversed(range(_TRIES)):
            try:
                async with self.request("PUT", url, pushes(name.repository), body=body) as response:
                    if response.status_code in (200, 201, 202):
                        return
                    raise await self.refusal(response, name.repository, "push")
            except RegistryUnreachable:
                if not left:
                    raise
                await asyncio.sleep(_FIRST_WAIT * 2 ** (_TRIES - left))

    async def has_blob(self, repository: Repository, digest: str) -> bool:
        """Tell whether a repository has a blob. Raises FairwayError."""
        url = f"{self.place.url}/v2/{repository.path}/blobs/{digest}"
        async with self.request("HEAD", url, pushes(repository)) as response:
            if response.status_code in (200, 404):
                return response.status_code == 200
            if response.status_code in (307, 302):
                return True
            raise await self.refusal(response, repository, "push")

    async def blob(self, repository: Repository, digest: str, most: int) -> bytes:
        """Return a blob of at most `most` bytes. Raises FairwayError."""
        content = b""
        async for part in self.read_blob(repository, digest):
            content += part
            if len(content) > most:
                raise RegistryError(f"a blob of {repository} is larger than {most} bytes")
        return content

    async def read_blob(self, repository: Repository, digest: str) -> AsyncIterator[bytes]:
        """Yield the content of a blob. Raise FairwayError at its end if it does not match the digest."""
        url = f"{self.place.url}/v2/{repository.path}/blobs/{digest}"
        seen = hashlib.sha256()
        async with self.request("GET", url, pulls(repository)) as response:
            if response.status_code == 404:
                raise no_image(f"{repository}@{digest}", "a part of it is missing in the registry")
            if response.status_code != 200:
                raise await self.refusal(response, repository, "pull")
            try:
                async for part in response.aiter_raw(2**18):
                    seen.update(part)
                    yield part
            except httpx2.HTTPError as error:
                raise unreachable(self.place.host, error, plain=self.place.plain) from None
        if f"sha256:{seen.hexdigest()}" != digest:
            raise RegistryUnreachable(
                f"the content of {digest} from {self.place.host} is damaged", hint="try again"
            )

    def manifest_url(self, name: ImageName) -> str:
        """Return the address of a manifest."""
        return f"{self.place.url}/v2/{name.repository.path}/manifests/{name.reference}"

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        scopes: frozenset[str] = frozenset(),
        *,
        body: Body | None = None,
        accept: bool = False,
    ) -> AsyncGenerator[httpx2.Response]:
        """Send a request with the authorization that it needs, and yield the response.

        A request is sent again after a refusal that asks for authorization. A request without a body is also sent again
        while the registry is overloaded, and after a broken connection.

        Raises:
            FairwayError: there was no answer.
        """
        headers = dict(body.headers) if body else {}
        if accept:
            headers["Accept"] = ACCEPTED
        tried = 0
        breaks = 0
        asked_again = False
        while True:
            tried += 1
            try:
                response = await self._send(method, url, scopes, headers, body)
            except RegistryUnreachable:
                breaks += 1
                if body is not None or method not in _REPEATED or breaks > _BREAKS:
                    raise
                await asyncio.sleep(_FIRST_WAIT)
                continue
            try:
                if response.status_code == 401 and not asked_again:
                    asked_again = True
                    if self._authorizer.learn(response, scopes):
                        continue
                wait = _wait_before_retry(response, tried) if body is None and method != "POST" else None
                if wait is None:
                    yield response
                    return
            finally:
                await _close(response)
            await asyncio.sleep(wait)

    async def _send(
        self, method: str, url: str, scopes: frozenset[str], headers: Mapping[str, str], body: Body | None
    ) -> httpx2.Response:
        sent = dict(headers)
        # A location of another host gets no secret of this one.
        if httpx2.URL(url).netloc == httpx2.URL(self.place.url).netloc:
            sent |= await self._authorizer.headers(scopes)
        sent["Content-Length"] = str(body.size if body else 0)
        if method in ("GET", "HEAD"):
            del sent["Content-Length"]
        request = self._client.build_request(method, url, headers=sent, content=body.read() if body else None)
        try:
            return await self._client.send(request, stream=True, follow_redirects=method == "GET")
        except (httpx2.HTTPError, ssl.SSLError) as error:
            raise unreachable(self.place.host, error, plain=self.place.plain) from None

    async def refusal(self, response: httpx2.Response, repository: Repository, doing: str) -> FairwayError:
        """Return the error for a response that is a refusal."""
        return explain(await self.refused(response), repository, doing, self.login)

    async def refused(self, response: httpx2.Response) -> Refusal:
        """Return the refusal in a response."""
        content = b""
        try:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _REFUSAL_MOST:
                    break
        except httpx2.HTTPError:
            content = b""
        return parse_refusal(response.status_code, content)


async def open_registry(repository: Repository, environment: Mapping[str, str], home: Path) -> Registry:
    """Return the registry of a repository with the user's login. Raises FairwayError."""
    place = repository.place
    return Registry(place, await find_login(place.host, repository.path, environment, home))


def pulls(repository: Repository) -> frozenset[str]:
    """Return the right to read a repository."""
    return frozenset([f"repository:{repository.path}:pull"])


def pushes(repository: Repository) -> frozenset[str]:
    """Return the right to write to a repository."""
    return frozenset([f"repository:{repository.path}:pull,push"])


def _wait_before_retry(response: httpx2.Response, tried: int) -> float | None:
    """Return the seconds to wait before another try; None if the response is final."""
    if response.status_code not in (429, 500, 502, 503, 504) or tried >= _TRIES:
        return None
    asked = response.headers.get("retry-after", "")
    if asked.isdigit():
        # A registry that wants a longer pause, such as Docker Hub after its hourly limit, gets it from the user.
        return float(asked) if float(asked) <= _LONGEST_WAIT else None
    return _FIRST_WAIT * 2 ** (tried - 1)


async def _close(response: httpx2.Response) -> None:
    """Close a response. Read a short rest first, because only then does its connection serve the next request."""
    rest = response.headers.get("content-length", "")
    short = response.request.method == "HEAD" or (rest.isdigit() and int(rest) <= _REFUSAL_MOST)
    if short and not response.is_closed and not response.is_stream_consumed:
        with contextlib.suppress(httpx2.HTTPError):
            await response.aread()
    await response.aclose()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _content(response: httpx2.Response, most: int, named: str) -> bytes:
    content = b""
    try:
        async for part in response.aiter_bytes():
            content += part
            if len(content) > most:
                raise RegistryError(f"the manifest of {named} is larger than {most} bytes")
    except httpx2.HTTPError as error:
        raise RegistryUnreachable(
            f"the connection broke while {named} was read: {error}", hint="try again"
        ) from None
    return content


def _trusted(place: Place, certificates: Path) -> ssl.SSLContext | bool:
    """Return the certificates to trust: those of this machine, and those that Docker has for the registry."""
    folder = certificates / place.host
    try:
        extra = sorted(name for name in os.listdir(folder) if name.endswith(".crt"))
    except OSError:
        return True
    context = httpx2.create_ssl_context()
    for name in extra:
        context.load_verify_locations(folder / name)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".cert"):
            context.load_cert_chain(folder / name, folder / f"{name.removesuffix('.cert')}.key")
    return context
