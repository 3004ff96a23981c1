"""The place of a value that is written to a file or folder: its path below what a person named, and the names that are safe."""

import os
from pathlib import Path

from fairway.spec.artifact import Artifact
from fairway.spec.errors import UsageError

OWN = ("file", "folder")
"""The formats of values that are files and folders themselves. They are written as they are."""


def place_of(artifact: Artifact, name: str, target: Path, suffix: str = "") -> Path:
    """Return the path of the file or folder to write: in `target` if that is a folder, else `target` itself.

    Args:
        artifact: the value.
        name: the name of a file in a folder, for a value that has no name of its own.
        target: the file or folder that a person named.
        suffix: the end of the file's name if a person gave none.

    Raises:
        UsageError: there is a folder in its place.
    """
    into = target.is_dir() or str(target).endswith(os.sep)
    if into:
        own = artifact.note if artifact.format in OWN else ""
        target /= file_name(own or f"{name}{suffix}")
    elif not target.suffix and artifact.format not in OWN:
        target = target.with_name(f"{target.name}{suffix}")
    if artifact.files and target.exists():
        raise UsageError(f"{target} exists already", hint="name a new folder")
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint="name a file in it")
    return target


def file_name(text: str) -> str:
    """Return a name as that of one file, whatever characters it has."""
    safe = "".join(letter if letter.isalnum() or letter in "-_. " else "-" for letter in text)
    return safe.lstrip(".") or "value"
