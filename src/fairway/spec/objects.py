"""The place of artifacts in object storage, as a person types it: `s3://bucket/prefix`, `gs://…` or `az://…`.

The text is kept in a ConfigMap and shown to people, so nothing secret may be in it. Knows no server.
"""

import re
from urllib.parse import parse_qsl, urlsplit

import msgspec

from fairway.spec.errors import UsageError

OPTIONS: dict[str, tuple[str, ...]] = {
    "s3": ("endpoint", "region"),
    "gs": ("endpoint",),
    "az": ("account", "endpoint"),
}
"""The settings that a place may carry after `?`, for each kind of store."""

_NAMES = {
    "s3": re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "gs": re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"),
    "az": re.compile(r"[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]"),
}
_PART = re.compile(r"[A-Za-z0-9!_.*'()=+@-]+")
_LONGEST_PREFIX = 400
_FORM = "write `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`"


class ObjectPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A place in object storage.

    Attributes:
        kind: `s3`, `gs` or `az`.
        bucket: the bucket, which is a container on Azure.
        prefix: the beginning of all keys, without a slash at its ends. It may be empty.
        options: settings of the store, such as its endpoint. None of them is secret.
    """

    kind: str
    bucket: str
    prefix: str = ""
    options: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The place without its options, for people and to compare it with another."""
        return f"{self.kind}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def plain(self) -> bool:
        """True if the store is spoken to without TLS."""
        return self.options.get("endpoint", "").startswith("http://")


def parse(text: str) -> ObjectPlace:
    """Return the place that a text names.

    Raises:
        UsageError: the text names no place in object storage. A text that may hold a secret is not repeated.
    """
    try:
        parts = urlsplit(text)
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise UsageError(f"{text[:80]!r} is no place in object storage", hint=_FORM) from None
    if "@" in parts.netloc:
        raise UsageError(
            "the place of the store names a user or a key, and would be kept where many can read it",
            hint="leave it out: pods get their rights from `--store-identity`, or from a Secret by `--store-secret NAME`",
        )
    if parts.scheme not in OPTIONS or parts.fragment:
        raise UsageError(f"{text[:80]!r} is no place in object storage", hint=_FORM)
    if not _NAMES[parts.scheme].fullmatch(parts.netloc):
        what = "container" if parts.scheme == "az" else "bucket"
        raise UsageError(f"{parts.netloc[:80]!r} cannot be the name of a {what}", hint=_FORM)
    return ObjectPlace(
        kind=parts.scheme,
        bucket=parts.netloc,
        prefix=_prefix(parts.path),
        options=_options(parts.scheme, asked),
    )


def _prefix(path: str) -> str:
    prefix = path.strip("/")
    names = prefix.split("/") if prefix else []
    if len(prefix) > _LONGEST_PREFIX or any(
        not _PART.fullmatch(name) or name in (".", "..") for name in names
    ):
        raise UsageError(
            f"{path[:80]!r} cannot be the beginning of keys",
            hint="use letters, digits and `-`, with `/` between the parts, at most 400 letters",
        )
    return prefix


def _options(kind: str, asked: list[tuple[str, str]]) -> dict[str, str]:
    options = dict(asked)
    for name in options:
        # The value is not repeated: it may be a key that somebody has put here.
        if name not in OPTIONS[kind]:
            raise UsageError(
                f"a place of the kind {kind} has no setting {name[:40]!r}",
                hint=f"it has {' and '.join(OPTIONS[kind])}; secrets belong into a Secret: `--store-secret NAME`",
            )
    if len(options) < len(asked) or not all(options.values()):
        raise UsageError("a setting of the store's place is empty or given twice", hint=_FORM)
    endpoint = options.get("endpoint", "")
    if endpoint:
        _check_endpoint(endpoint)
    return options


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        _ = parts.port
    except ValueError:
        valid, parts = False, None
    if not valid or parts is None or parts.username is not None or parts.password is not None:
        raise UsageError(
            "the endpoint of the store is no URL of a server", hint="write `?endpoint=https://HOST:PORT`"
        )
