"""The secrets that this process knows, and their removal from everything that leaves it.

Known are the values of revealed secrets, of environment variables with the name of a secret, and of secrets inside
other variables, such as the password in an address. A value stays known after it was replaced. In addition,
`secret_shapes` finds secrets by their look or their place. This module does not know where the cleaned text goes.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import TextIO, cast
from urllib.parse import quote, unquote

from fairway.author import secret_names, secret_shapes
from fairway.spec.wire import LEASE

_SHORTEST = 3
"""The length below which a value is not looked for, because it would occur all over innocent text."""

_SHORTEST_INSIDE = 6
"""The length below which a value is found only as a word by itself.

Such a value does not keep a result from being stored.
"""

_SHORTEST_LINE = 8
"""The length below which one line of a longer secret is not looked for by itself."""
_MOST_KNOWN = 2000
_LONGEST_OPEN = 1 << 15
_KEPT_OF_OPEN = 1 << 12
_STYLE = re.compile(rb"\x1b\[[0-9;:]*m")
_SETTINGS = frozenset(
    (
        *("true", "false", "yes", "no", "none", "null", "on", "off"),
        *("default", "auto", "disabled", "enabled", "optional", "required", "unset"),
    )
)
"""Values that are settings, whatever the name of their variable."""


class Redactor:
    """A filter that takes secret values out of texts.

    Args:
        values: the secrets by name, or pairs of name and value when a name has had several values.
    """

    def __init__(self, values: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        names: dict[bytes, str] = {}
        alone: set[bytes] = set()
        for name, value in (
            cast("Mapping[str, str]", values).items() if isinstance(values, Mapping) else values
        ):
            for form in _forms(value):
                names.setdefault(form, name)
                if len(form) < _SHORTEST_INSIDE or _is_word(value):
                    alone.add(form)
        self._names = names
        # Long forms come first: where one secret contains another, the whole of it is taken out.
        forms = sorted(names, key=len, reverse=True)
        self._sorted = sorted(names)
        self._few = tuple(forms) if len(forms) <= 12 else ()
        self._forms = _any_of(forms, alone)
        self._kept_out = _any_of([form for form in forms if len(form) >= _SHORTEST_INSIDE], alone)
        starts = b"".join({form[:1] for form in forms})
        self._starts = re.compile(b"[" + re.escape(starts) + b"]") if starts else None
        self._longest = max(map(len, forms), default=0)

    def data(self, data: bytes) -> bytes:
        """Return the bytes with `[secret NAME]` in place of each secret."""
        if b"\x1b[" in data and _STYLE.search(data):
            return b"".join(self._styled(line) for line in data.splitlines(keepends=True))
        return self._plain(data)

    def _styled(self, line: bytes) -> bytes:
        """Clean a line with colours. A line with a secret across colour codes loses its colours."""
        bare = _STYLE.sub(b"", line)
        clean = self._plain(bare)
        return self._plain(line) if clean == bare else clean

    def _plain(self, data: bytes) -> bytes:
        """Clean bytes without colours."""
        if self._forms is not None and (not self._few or any(form in data for form in self._few)):
            data = self._forms.sub(lambda found: f"[secret {self._names[found[0]]}]".encode(), data)
        found = secret_shapes.spans(data)
        if not found:
            return data
        parts, at = list[bytes](), 0
        for start, end in found:
            parts += (data[at:start], b"[secret]")
            at = end
        return b"".join((*parts, data[at:]))

    def text(self, text: str) -> str:
        """Return the text with `[secret NAME]` in place of each secret."""
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def found(self, data: bytes | memoryview) -> str:
        """Return the name of a secret that the data contains.

        It is empty when there is no secret, or only a very short one.
        """
        match = self._kept_out.search(data) if self._kept_out is not None else None
        return self._names[match[0]] if match is not None else ""

    def unfinished(self, data: bytes) -> int:
        """Count the bytes at the end that may be the beginning of a secret, or that may make the next bytes one."""
        held = 0
        if self._starts is not None:
            for match in self._starts.finditer(data, max(0, len(data) - self._longest + 1)):
                tail = data[match.start() :]
                place = bisect_left(self._sorted, tail)
                if place < len(self._sorted) and self._sorted[place].startswith(tail):
                    held = len(tail)
                    break
        return max(held, secret_shapes.unfinished(data))

    def outside(self, data: bytes, cut: int) -> int:
        """Move a cut before the secret that it would fall into, because half a secret is not recognised.

        Returns:
            the new place of the cut.
        """
        if self._forms is not None and 0 < cut < len(data):
            for match in self._forms.finditer(data, max(0, cut - self._longest)):
                if match.start() >= cut:
                    break
                if match.end() > cut:
                    return match.start()
        return cut


class Stream:
    """A stream of bytes that comes in pieces.

    Bytes that may still become a secret are held back until that is decided.
    """

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes, redactor: Redactor) -> bytes:
        """Return the clean bytes that can be passed on after these."""
        whole = self._kept + data
        held = redactor.unfinished(whole)
        # Output that never ends a line must not be held back for ever.
        if held > _LONGEST_OPEN:
            held = _KEPT_OF_OPEN
        cut = redactor.outside(whole, len(whole) - held)
        self._kept = whole[cut:]
        return redactor.data(whole[:cut]) if cut else b""

    def end(self, redactor: Redactor) -> bytes:
        """Return the clean rest."""
        rest, self._kept = redactor.data(self._kept), b""
        return rest


class RedactedText:
    """A stand-in for a text stream such as `sys.stderr` that passes everything on except secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text without its secrets, and return the length of the whole text."""
        self._stream.write(live().text(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write lines without their secrets."""
        self.write("".join(lines))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class _Live:
    """The secrets that this process knows, and the redactor made from them."""

    __slots__ = ("known", "redactor", "report")

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        """The name of each secret by its value. A value that was replaced stays a secret."""
        self.redactor: Redactor | None = None
        self.report: Callable[[str, str], None] | None = None


_live = _Live()


def live() -> Redactor:
    """Return the redactor for all known secrets. The environment counts as it was at the last `refresh`."""
    return _live.redactor or refresh()


def refresh() -> Redactor:
    """Read the environment again and return the redactor for all known secrets. Former secrets stay known."""
    before = len(_live.known)
    for name, value in os.environ.items():
        _note(name, value)
    if _live.redactor is None or len(_live.known) != before:
        _remake()
    return cast("Redactor", _live.redactor)


def know(name: str, value: str) -> None:
    """Treat the value as a secret with that name from now on."""
    if value and value not in _live.known:
        _live.known[value] = name
        _remake()
        _report([value])


def forget() -> None:
    """Forget every secret and every name that was added."""
    _live.known.clear()
    _live.redactor = None
    secret_names.forget()


def name_more(patterns: Iterable[str]) -> None:
    """Treat variables, parameters and keys with these names as secrets too. `*` stands for any text."""
    secret_names.add(patterns)
    _live.redactor = None


def report_new(report: Callable[[str, str], None]) -> None:
    """Call `report` with name and value of each secret that becomes known from now on, before the code can print it."""
    _live.report = report


def watch_environment() -> None:
    """Notice the secrets that code puts into `os.environ` from now on."""
    if not isinstance(os.environ, _Watched):
        os.environ.__class__ = _Watched


class _Watched(os._Environ[str]):  # pyright: ignore[reportPrivateUsage] - its only class
    """The environment, with a setter that notices each secret put into it."""

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, value)
        if key == LEASE:
            return  # our own word, which every step is given
        before = len(_live.known)
        _note(key, value)
        if len(_live.known) > before:
            new = list(_live.known)[before:]
            _remake()
            _report(new)


def _report(values: list[str]) -> None:
    """Report secrets that became known."""
    if _live.report is not None:
        for value in values:
            _live.report(_live.known[value], value)


def refusal(name: str, value: object) -> str:
    """Return the reason to refuse a value as a pipeline's parameter, or an empty text to accept it."""
    for path, item, key in _leaves(name, value, name):
        why = _refused(path, key, item)
        if why:
            return why
    return ""


def _refused(path: str, key: str, value: str) -> str:
    """Return the reason to refuse one text, or an empty text to accept it."""
    data = value.encode("utf-8", "replace")
    spans = secret_shapes.spans(data) if value else []
    if spans and b"://" in data:
        return f"{path} is an address with a password in it, which would be kept with the run"
    if value.lower() not in {"", *_SETTINGS, "basic", "bearer", "digest"} and secret_names.is_secret(key):
        return f"{path} is a secret by its name, and its value would be kept with the run"
    if spans:
        return f"{path} holds what looks like a password or token, which would be kept with the run"
    found = live().found(data) or _live.known.get(value, "")
    return f"{path} holds the value of the secret {found}, which would be kept with the run" if found else ""


def _leaves(path: str, value: object, key: str, depth: int = 0) -> Iterable[tuple[str, str, str]]:
    """Yield every text in a value, with its place and the nearest name before it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        yield path, value, key
    elif depth > 20:
        return
    elif isinstance(value, Mapping):
        for inner, item in cast("Mapping[object, object]", value).items():
            yield from _leaves(f"{path}[{inner!r}]", item, str(inner), depth + 1)
            yield from _leaves(f"{path}[{inner!r}]", inner, "", depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for place, item in enumerate(cast("Iterable[object]", value)):
            yield from _leaves(f"{path}[{place}]", item, key, depth + 1)
    else:
        kind = type(value)
        names = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", ())
        for field in cast("Iterable[str]", names):
            yield from _leaves(f"{path}.{field}", getattr(value, field, None), field, depth + 1)


def _remake() -> None:
    """Make the redactor again after a change. The oldest secrets give way when there are too many."""
    while len(_live.known) > _MOST_KNOWN:
        del _live.known[next(iter(_live.known))]
    _live.redactor = Redactor((name, value) for value, name in _live.known.items())


def _note(name: str, value: str) -> None:
    """Remember the secrets in a variable."""
    if len(value) < _SHORTEST or value in _live.known:
        return
    if secret_names.is_secret(name) and value.lower() not in _SETTINGS:
        _live.known[value] = name
    if "://" in value or "=" in value or value.startswith("{"):
        data = value.encode("utf-8", "surrogateescape")
        for start, end in secret_shapes.spans(data):
            part = data[start:end].decode("utf-8", "surrogateescape")
            if len(part) >= _SHORTEST:
                _live.known.setdefault(part, f"{name}, its password")


def _any_of(forms: list[bytes], alone: set[bytes]) -> "re.Pattern[bytes] | None":
    """Return a pattern for any of the forms. Those in `alone` match only with no letter or digit beside them."""
    if not forms:
        return None
    words = (
        rb"(?<![A-Za-z0-9])" + re.escape(form) + rb"(?![A-Za-z0-9])" if form in alone else re.escape(form)
        for form in forms
    )
    return re.compile(b"|".join(words))


def _is_word(value: str) -> bool:
    """Tell whether a value looks like an ordinary word, such as "sunshine", or like a number."""
    return len(value) < 12 and ((value.isalpha() and value.islower()) or value.isdigit())


def _forms(value: str) -> set[bytes]:
    """Return all spellings of a value: plain, quoted in an address, and escaped in JSON, in HTML or by `repr`."""
    import html
    import json

    lines = [line.strip() for line in value.splitlines()]
    parts = {value, *(line for line in lines if len(line) >= _SHORTEST_LINE and not line.startswith("-----"))}
    if "%" in value:
        parts.add(unquote(value))
    forms: set[str] = set()
    for part in parts:
        forms |= {
            part,
            quote(part, safe=""),
            quote(part),
            json.dumps(part)[1:-1],
            json.dumps(part, ensure_ascii=False)[1:-1],
            html.escape(part),
            html.escape(part, quote=False),
            html.escape(part).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
            repr(part)[1:-1],
        }
    return {form.encode("utf-8", "surrogateescape") for form in forms if len(form) >= _SHORTEST}
