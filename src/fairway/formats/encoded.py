"""The types that every codec gives and takes: a value on its way into a store, and content on its way back.

A codec describes how a value would be written, and the owner of a store writes it. This module knows neither
frameworks nor stores.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

Content = bytes | memoryview | Path
"""Stored content: bytes, a view of a mapped file, or the path of a file or folder that must not change."""

SMALL = 64 * 1024
"""The number of bytes up to which values are encoded at once. Larger values are streamed."""


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """A value that is ready to be stored. Exactly one of `data`, `write`, `folder` and `source` is set.

    Attributes:
        format: the format, which names the codec that reads it back.
        kind: the value's type for people, such as "pandas.DataFrame". `decode` needs it again.
        note: a few words that a person sees at a glance, such as "float64 (569, 30)".
        data: the content.
        write: writes the content into a binary file, front to back, without seeking.
        folder: writes files into an empty directory.
        source: an existing file or folder that is copied as it is.
        refers: classes, functions and modules that the content names and does not hold.
    """

    format: str
    kind: str
    note: str = ""
    data: bytes | None = None
    write: Callable[[BinaryIO], None] | None = None
    folder: Callable[[Path], None] | None = None
    source: Path | None = None
    refers: tuple[object, ...] = ()

    @property
    def code(self) -> bool:
        """True when reading the value back runs code from the content."""
        return self.format in CODE_FORMATS

    def to_bytes(self) -> bytes:
        """Return the content in memory. The value must be a single file (`data` or `write`)."""
        if self.data is not None:
            return self.data
        assert self.write is not None
        buffer = io.BytesIO()
        self.write(buffer)
        return buffer.getvalue()


CODE_FORMATS = frozenset({"pickle", "torchscript", "keras"})
"""Formats whose content can run code when it is read. They are read only when the caller trusts their origin."""


def kind_of(value: object) -> str:
    """Return a value's type for people: package and class, as in "pandas.DataFrame", or "int" for built-in types."""
    return kind_of_type(type(value))


def kind_of_type(cls: type) -> str:
    """Return a type for people: package and class, or the class alone for built-in types."""
    root = cls.__module__.partition(".")[0]
    return cls.__qualname__ if root == "builtins" else f"{root}.{cls.__qualname__}"


def roots_of(value: object) -> list[str]:
    """Return the top-level packages that define a value's class and its bases, the most derived first."""
    return list(dict.fromkeys(cls.__module__.partition(".")[0] for cls in type(value).__mro__))


def as_bytes(content: Content) -> bytes:
    """Return the whole content in memory, for codecs that cannot read by memory mapping."""
    if isinstance(content, Path):
        return content.read_bytes()
    return content if isinstance(content, bytes) else bytes(content)
