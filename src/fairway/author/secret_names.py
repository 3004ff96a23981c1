"""Names of environment variables, parameters, dict keys and headers that mark their value as a secret.

A name is read word by word. This module looks neither at values nor at the text around a name.
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

from fairway.spec.errors import UsageError

Kind = Literal["strong", "weak", ""]
"""The strength of a name.

The value of a strong name is always a secret. The value of a weak name, such as `key`, must look like one too.
"""


def _words(text: str) -> frozenset[str]:
    """Split a text into a set of words."""
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_STRONG = _words(
    "password passwd passphrase passcode pwd secret secrets credential credentials creds apikey accesskey "
    "secretkey privatekey accountkey authtoken accesstoken webhook jwt"
)
_ENDINGS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
)
_KEY_STRONG = _words(
    "api secret private access account signing encryption master shared subscription license auth service "
    "deploy ssh"
)
_KEY_INNOCENT = _words(
    "public primary foreign sort partition cache join group row column index lookup dict map hash "
    "idempotency natural surrogate composite unique first last next prev shortcut any left right up down "
    "esc enter"
)
_TOKEN_INNOCENT = _words(
    "next prev previous eos bos pad unk mask sep cls special start end stop max min num first last per n "
    "image input output prompt completion total new each"
)
_WEAK_LAST = _words("auth sig signature pass pat cookie cookies bearer")
_ABOUT = _words(
    "file path dir directory folder mode name names type ttl length len limit count size enabled disabled "
    "expiry expires expiration expire timeout header headers scheme field policy version seconds minutes "
    "hours lifetime required hint algorithm algo format provider sock socket host port url uri endpoint "
    "column columns index ids dim embedding embeddings budget usage per rotation age days issuer audience "
    "error errors status"
)
"""Last words of names that mention a secret without holding one, as in `TOKEN_FILE` and `PASSWORD_MODE`."""

_FOLDERS = {"PWD", "OLDPWD"}
_more: list[str] = []


@lru_cache(4096)
def kind_of(name: str) -> Kind:
    """Read a name: "strong", "weak", or "" for a name that does not speak of a secret."""
    if name in _FOLDERS:
        return ""
    if _more and any(fnmatchcase(name.lower(), pattern) for pattern in _more):
        return "strong"
    words = [word.lower() for word in _WORD.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    if not words:
        return ""
    last = words[-1]
    before = words[-2] if len(words) > 1 else ""
    if last in _ABOUT:
        return "strong" if last in ("url", "uri") and not {"webhook", "hook"}.isdisjoint(words) else ""
    if last == "string" and before in ("connection", "conn"):
        return "strong"
    if not _STRONG.isdisjoint(words) and (last != "webhook" or before):
        return "strong"
    return _by_word(words) or ("strong" if last.endswith(_ENDINGS) and last != "token" else "")


def _by_word(words: list[str]) -> Kind:
    """Judge a name by words such as `key` and `token`, which are sure only with certain words beside them."""
    last = words[-1]
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        if word == "token" and before not in _TOKEN_INNOCENT:
            return "strong" if len(words) > 1 else "weak"
        if word in ("tokens", "keys") and before in _KEY_STRONG:
            return "strong"
        if word == "key" and before not in _KEY_INNOCENT and (place == len(words) - 1 or last == "id"):
            return "strong" if before in _KEY_STRONG else "weak"
    return "weak" if last in _WEAK_LAST else ""


def is_secret(name: str) -> bool:
    """Tell whether a variable or parameter with that name holds a secret, whatever its value is."""
    return kind_of(name) != ""


def add(patterns: Iterable[str]) -> None:
    """Take further names as secrets from now on, in upper or lower case. `*` stands for any text."""
    for pattern in patterns:
        if pattern.lower() not in _more:
            _more.append(pattern.lower())
    kind_of.cache_clear()


def read(start: Path) -> tuple[str, ...]:
    """Read `secrets` of `[tool.fairway]` in the nearest `pyproject.toml`, from a folder upwards.

    Raises:
        UsageError: it is not a list of names, or the file is not TOML.
    """
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        try:
            data = path.read_bytes()
        except OSError:
            if (folder / ".git").exists():
                return ()
            continue
        return _patterns(path, data) if b"secrets" in data and b"fairway" in data else ()
    return ()


def _patterns(path: Path, data: bytes) -> tuple[str, ...]:
    """Return the names that a `pyproject.toml` lists. Raises UsageError."""
    import tomllib

    try:
        tool = cast("dict[str, dict[str, object]]", tomllib.loads(data.decode()).get("tool", {}))
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    found = tool.get("fairway", {}).get("secrets", [])
    names = cast("list[object]", found) if isinstance(found, list) else [None]
    if not all(isinstance(name, str) and name.strip("*?") for name in names):
        raise UsageError(
            f"secrets of [tool.fairway] in {path} is not a list of names",
            hint='`secrets = ["MY_NAME", "*_CODE"]`',
        )
    return tuple(str(name) for name in names)


def forget() -> None:
    """Forget the names that were added."""
    _more.clear()
    kind_of.cache_clear()
