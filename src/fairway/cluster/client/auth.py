"""The credentials of requests, kept fresh: tokens in files that change, and plugins whose tokens expire.

A credential is made new by one task at a time, and everybody else waits for it. Must not know how requests are sent.
"""

import asyncio
import base64
import datetime
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from fairway.cluster.client.access import Access, Credentials
from fairway.cluster.client.errors import CredentialsError
from fairway.cluster.client.plugins import run_plugin

FILE_SECONDS = 60.0
"""Seconds for which a token read from a file is used before the file is read again."""
EARLY_SECONDS = 60.0
"""Seconds before its end from which on a credential of a plugin is made new."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of identity for one request.

    Attributes:
        headers: of the request. They hold secrets.
        certificate: a client certificate and its key in PEM, or nothing.
        until: the time of the clock up to which it is used. None means until it is refused.
        expires: the time of the clock at which it becomes void.
    """

    headers: tuple[tuple[str, str], ...] = ()
    certificate: bytes = b""
    until: float | None = None
    expires: float | None = None

    def __repr__(self) -> str:
        return "Credential(…)"


class Authentication:
    """The present credential of an access.

    Args:
        access: says how credentials are made.
        clock: returns seconds since 1970. Expiry is written in that time.
    """

    def __init__(self, access: Access, clock: Callable[[], float] = time.time) -> None:
        self._access = access
        self._clock = clock
        self._held: Credential | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> Credential:
        """Return a credential to send. Raises CredentialsError."""
        held = self._held
        if held is not None and self._is_fresh(held):
            return held
        async with self._lock:
            if self._held is not None and self._is_fresh(self._held):
                return self._held
            try:
                self._held = await self._make()
            except CredentialsError:
                # The held one may still be good for some seconds, and the next try may succeed.
                if self._held is None or self._is_void(self._held):
                    raise
            return self._held

    async def renew(self, refused: Credential) -> bool:
        """Make a new credential in place of one that the server refused, and return whether there is one to try.

        Raises:
            CredentialsError: none could be made.
        """
        source = self._access.credentials
        if source.plugin is None and not source.token_file:
            return False
        async with self._lock:
            # Another request may have been refused earlier and have brought a new one.
            if self._held is refused or self._held is None:
                self._held = await self._make()
            return self._held.headers != refused.headers or self._held.certificate != refused.certificate

    def _is_fresh(self, held: Credential) -> bool:
        return held.until is None or self._clock() < held.until

    def _is_void(self, held: Credential) -> bool:
        return held.expires is not None and self._clock() >= held.expires

    async def _make(self) -> Credential:
        source = self._access.credentials
        if source.plugin is not None:
            return await self._from_plugin(source)
        token, until = source.token, None
        if source.token_file:
            token, until = self._from_file(source), self._clock() + FILE_SECONDS
        return Credential(
            headers=self._headers(source, token),
            certificate=_pair(source.certificate, source.key),
            until=until,
        )

    def _from_file(self, source: Credentials) -> str:
        try:
            token = Path(source.token_file).read_text().strip()
        except (OSError, ValueError):
            token = ""
        if token:
            return token
        # A file is for a moment empty or away while it is replaced.
        for name, value in self._held.headers if self._held else ():
            if name == "Authorization":
                return value.removeprefix("Bearer ")
        if source.token:
            return source.token
        raise CredentialsError(
            f"the token of the user {self._access.user!r} cannot be read from {source.token_file}",
            hint=f"`ls -l {source.token_file}`",
        )

    async def _from_plugin(self, source: Credentials) -> Credential:
        assert source.plugin is not None
        status = await run_plugin(source.plugin, self._access.user)
        now = self._clock()
        expires = status.expiration_timestamp.timestamp() if status.expiration_timestamp else None
        # A token that lives for less than two minutes is used for half its life and not made new for each request.
        until = max(expires - EARLY_SECONDS, now + (expires - now) / 2) if expires else None
        return Credential(
            headers=self._headers(source, status.token or source.token),
            certificate=_pair(
                status.client_certificate_data.encode() or source.certificate,
                status.client_key_data.encode() or source.key,
            ),
            until=until,
            expires=expires,
        )

    def _headers(self, source: Credentials, token: str) -> tuple[tuple[str, str], ...]:
        proof: tuple[tuple[str, str], ...] = ()
        if token:
            if not is_token(token):
                raise CredentialsError(
                    f"the token of the user {self._access.user!r} has characters that no token has",
                    hint="get a new kubeconfig or token from your cluster",
                )
            proof = bearer(token)
        elif source.username:
            pair = base64.b64encode(f"{source.username}:{source.password}".encode()).decode()
            proof = (("Authorization", f"Basic {pair}"),)
        return proof + source.impersonation


def is_token(text: str) -> bool:
    """Tell whether a text can be sent as a token. The libraries below would quote another one in their errors."""
    return text.isascii() and text.isprintable() and bool(text) and " " not in text


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the header that proves an identity by a token."""
    return (("Authorization", f"Bearer {token}"),)


def _pair(certificate: bytes, key: bytes) -> bytes:
    return certificate.rstrip() + b"\n" + key if certificate else b""


def certificate_end(certificate: bytes) -> datetime.datetime | None:
    """Return the time up to which a certificate in PEM is valid, or None if it cannot be read.

    The standard library reads only the certificate of a peer. The date stands at a fixed place in the DER form:
    Certificate, the part that is signed, and in it validity, behind version, serial number, algorithm and issuer.
    """
    try:
        text = certificate.split(b"-----BEGIN CERTIFICATE-----")[1].split(b"-----END")[0]
        signed = _children(_children(base64.b64decode(text))[0][1])[0][1]
        fields = [field for field in _children(signed) if field[0] != 0xA0]
        tag, end = _children(fields[3][1])[1]
        form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
        return datetime.datetime.strptime(end.decode(), form).replace(tzinfo=datetime.UTC)
    except (IndexError, ValueError):
        return None


def _children(content: bytes) -> list[tuple[int, bytes]]:
    """Return the tag and the content of each element in a DER sequence."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length >= 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(content[at : at + size]), at + size
        found.append((tag, content[at : at + length]))
        at += length
    return found
