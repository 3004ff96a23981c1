"""The secrets that are alive in this process, and how whatever leaves it loses them.

Alive are the values of secrets that were revealed, of environment variables whose name says that they are secret, and
of passwords in addresses. Beside these, passwords in addresses and tokens in queries are taken out of every text. A
secret in another encoding is not recognised. Knows no sink.
"""

import os
import re
from collections.abc import Mapping
from typing import TextIO
from urllib.parse import quote, unquote

_SHORTEST = 6
"""Shorter values would be found in innocent text."""

_SHORTEST_LINE = 16
_LONGEST_ADDRESS = 2048
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|ACCOUNT_?KEY", re.I
)
_SECRET_PARAMETER = re.compile(
    r"(?:\w+_)?(?:password|passwd|passphrase|secret|api_?key|access_token|auth_token|private_key)", re.I
)
_ADDRESS = re.compile(rb"(://[^\s/:@]{0,256}:)([^\s/]{1,1024})@")
_QUERY = re.compile(
    rb"([?&][\w.-]{0,64}(?:token|secret|passw(?:or)?d|api_?key|signature|credential)=)[^&\s\"'<>#]+", re.I
)
_HEADER = re.compile(rb"(authorization[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?:bearer|basic)\s{1,8})[^\s\"',]+", re.I)
_SPACE = re.compile(rb"[\s\"'<>]")


class Redactor:
    """Takes values out of texts.

    Args:
        values: the secrets by name.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._names: dict[bytes, str] = {}
        for name, value in values.items():
            for form in _forms(value):
                self._names.setdefault(form, name)
        forms = sorted(self._names, key=len, reverse=True)
        self._forms = re.compile(b"|".join(map(re.escape, forms))) if forms else None
        self._starts = frozenset(form[:1] for form in forms)
        self._longest = max(map(len, forms), default=0)

    def data(self, data: bytes) -> bytes:
        """The bytes with `[secret NAME]` where a secret was."""
        if self._forms is not None:
            data = self._forms.sub(lambda found: f"[secret {self._names[found[0]]}]".encode(), data)
        if b"://" in data:
            data = _ADDRESS.sub(rb"\1[secret]@", data)
        if b"=" in data:
            data = _QUERY.sub(rb"\1[secret]", data)
        return _HEADER.sub(rb"\1[secret]", data) if b"uthorization" in data.lower() else data

    def text(self, text: str) -> str:
        """The text with `[secret NAME]` where a secret was."""
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def found(self, data: bytes | memoryview) -> str:
        """The name of a secret that is in the data; empty when there is none."""
        match = self._forms.search(data) if self._forms is not None else None
        return self._names[match[0]] if match is not None else ""

    def unfinished(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret, or of an address with one."""
        held = 0
        for length in range(min(self._longest - 1, len(data)), 0, -1):
            tail = data[-length:]
            if tail[:1] in self._starts and any(form.startswith(tail) for form in self._names):
                held = length
                break
        at = data.rfind(b"://")
        if at >= 0 and len(data) - at <= _LONGEST_ADDRESS and not _SPACE.search(data, at):
            held = max(held, len(data) - at)
        return max(held, 1 if data.endswith(b":") else 2 if data.endswith(b":/") else 0)


class Stream:
    """Bytes that come in pieces: what may still become a secret is kept back until it is known."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes, redactor: Redactor) -> bytes:
        """What can be passed on after these bytes."""
        whole = self._kept + data
        cut = len(whole) - redactor.unfinished(whole)
        self._kept = whole[cut:]
        return redactor.data(whole[:cut])

    def end(self, redactor: Redactor) -> bytes:
        """The rest."""
        rest, self._kept = redactor.data(self._kept), b""
        return rest


class RedactedText:
    """Stands in for a text stream such as `sys.stderr`, and passes everything on but secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(live().text(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class _Live:
    __slots__ = ("known", "redactor")

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.redactor: Redactor | None = None


_live = _Live()


def live() -> Redactor:
    """What takes out the secrets alive now. The environment counts as it was when `refresh` was last called."""
    return _live.redactor or refresh()


def refresh() -> Redactor:
    """The same, with the environment as it is now."""
    _live.redactor = Redactor({**_from_environment(), **_live.known})
    return _live.redactor


def know(name: str, value: str) -> None:
    """From here on the value is a secret of that name."""
    if value and _live.known.get(name) != value:
        _live.known[name] = value
        refresh()


def refusal(name: str, value: object) -> str:
    """Why a pipeline's parameter may not have this value; empty when it may."""
    if not isinstance(value, str) or not value:
        return ""
    if _ADDRESS.search(value.encode("utf-8", "replace")):
        return f"{name} is an address with a password in it, which would be kept with the run"
    if _SECRET_PARAMETER.fullmatch(name):
        return f"{name} is a secret by its name, and its value would be kept with the run"
    found = live().found(value.encode("utf-8", "replace"))
    return f"{name} holds the value of the secret {found}, which would be kept with the run" if found else ""


def _from_environment() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and not value.startswith(("/", "~", "./")) and not _a_word(value):
            found[name] = value
        address = _ADDRESS.search(value.encode("utf-8", "surrogateescape")) if "://" in value else None
        if address is not None:
            found[f"{name}, its password"] = address[2].decode("utf-8", "surrogateescape")
    return found


def _a_word(value: str) -> bool:
    """Whether it looks like an ordinary word, such as "disabled", or a number, and not like a secret."""
    return (value.isalpha() and value.islower() and len(value) < 12) or (value.isdigit() and len(value) < 8)


def _forms(value: str) -> set[bytes]:
    """The spellings in which a value turns up: as it is, quoted in an address, escaped in JSON or by `repr`."""
    import json

    lines = [line.strip() for line in value.splitlines()]
    parts = {value, unquote(value), *(line for line in lines if len(line) >= _SHORTEST_LINE)}
    forms: set[str] = set()
    for part in parts:
        forms |= {
            part,
            quote(part, safe=""),
            json.dumps(part)[1:-1],
            json.dumps(part, ensure_ascii=False)[1:-1],
        }
        forms.add(repr(part)[1:-1])
    return {form.encode("utf-8", "surrogateescape") for form in forms if len(form) >= _SHORTEST}
