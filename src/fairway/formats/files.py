"""A user's own files and folders, stored as they are.

They are recognised by two attributes, so that this floor does not depend on the class that users work with.
"""

from pathlib import Path
from typing import Any

from fairway.formats.encoded import Content, Encoded, kind_of
from fairway.spec.errors import SerializationError
from fairway.spec.text import legible


def encode(value: Any) -> Encoded | None:
    """Encode a value with the attribute `__fairway_path__`. Other values give None.

    Raises:
        SerializationError: the file or folder does not exist, or is not of the sort that it should be.
    """
    kind: str = getattr(value, "__fairway_kind__", "")
    path: Any = getattr(value, "__fairway_path__", None)
    if kind not in ("file", "folder") or path is None:
        return None
    path = Path(path)
    if not path.exists():
        raise SerializationError(
            f"the {kind} {path} does not exist", hint="write it before the task returns it"
        )
    if path.is_dir() != (kind == "folder"):
        other, name = ("folder", "fw.Folder") if path.is_dir() else ("file", "fw.File")
        raise SerializationError(f"{path} is a {other}, not a {kind}", hint=f"return `{name}(path)`")
    return Encoded(format=kind, kind=kind_of(value), note=legible(path.name), source=path)


def decode(content: Content, kind: str = "") -> object:
    """Return the path of the stored file or folder. Nobody may write to it."""
    if not isinstance(content, Path):
        raise SerializationError("a stored file was given as bytes instead of a path")
    return content
