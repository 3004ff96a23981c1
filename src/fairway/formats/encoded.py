"""What every codec gives and takes: a value on its way into the store, and content on its way back.

Knows no framework and no store: a codec says how a value would be written, and who owns a
store writes it.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

Content = bytes | memoryview | Path
"""Stored content: bytes, a view into a mapped file, or the path of a file or folder that must not change."""

SMALL = 64 * 1024
"""Values of up to about this many bytes are encoded at once; larger ones are streamed."""


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """A value ready to be stored. Exactly one of `data`, `write`, `folder` and `source` is set.

    Attributes:
        format: names the codec that reads it back.
        kind: the value's type for people, such as "pandas.DataFrame"; `decode` needs it again.
        note: what a person should see at a glance, such as "float64 (569, 30)".
        data: the content.
        write: writes the content into a binary file, front to back, without seeking.
        folder: writes files into the empty directory it is given.
        source: an existing file or folder to be copied as it is.
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
        """Whether reading it back runs code that is part of the content."""
        return self.format in CODE_FORMATS

    def to_bytes(self) -> bytes:
        """The content in memory, of a value that is one file (`data` or `write`)."""
        if self.data is not None:
            return self.data
        assert self.write is not None
        buffer = io.BytesIO()
        self.write(buffer)
        return buffer.getvalue()


CODE_FORMATS = frozenset({"pickle", "torchscript", "keras"})
"""Formats whose content can run code when it is read; read only where the caller trusts its origin."""


def kind_of(value: object) -> str:
    """The type of a value for people: package and class, "pandas.DataFrame", or "int" for built-in types."""
    return kind_of_type(type(value))


def kind_of_type(cls: type) -> str:
    """As `kind_of`, of the type itself."""
    root = cls.__module__.partition(".")[0]
    return cls.__qualname__ if root == "builtins" else f"{root}.{cls.__qualname__}"


def roots_of(value: object) -> list[str]:
    """Top-level packages that define a value's class and its bases, most derived first."""
    return list(dict.fromkeys(cls.__module__.partition(".")[0] for cls in type(value).__mro__))


def as_bytes(content: Content) -> bytes:
    """The whole content in memory; for codecs that cannot read by memory mapping."""
    if isinstance(content, Path):
        return content.read_bytes()
    return content if isinstance(content, bytes) else bytes(content)
