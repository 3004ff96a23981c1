"""Values of a run as a person reads them, as JSON, on standard output, or in files of an open format.

The command `get` loads this module only for a value that is no file as it is, because it loads all that converts and draws.
"""

import os
import tempfile
from pathlib import Path
from typing import cast

import msgspec

from fairway.cli import results
from fairway.cli.asking import ask
from fairway.cli.placing import OWN, file_name, place_of
from fairway.cli.story import pour, report, show
from fairway.engine import bringing
from fairway.engine.addresses import Addressed
from fairway.engine.pictures import rendered
from fairway.formats import exporting, look
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, Group, Node
from fairway.spec.errors import UsageError

_ROWS = 100
_SHOWN_TEXT = 1 << 20


def print_value(platform: Platform, found: Addressed, value: str) -> None:
    """Print a value as a person reads it. A small file of text is printed whole."""
    node = found.node
    if isinstance(node, Artifact) and node.format == "file" and node.size <= _SHOWN_TEXT:
        content = ask(bringing.held(platform, node, _SHOWN_TEXT))
        if b"\0" not in content:
            show(*content.decode("utf-8", "replace").removesuffix("\n").split("\n"))
            return
    show(*ask(results.lines(platform, node, rows=_ROWS)))
    if isinstance(node, Artifact) and node.format != "json":
        suffix = exporting.usual_suffix(node.format)
        name = node.note if node.format in OWN else f"{found.name}{suffix}"
        report(f"hint: `fairway get {value} -o {name}` writes it to a file")


def as_json(platform: Platform, node: Node) -> str:
    """Return a value as JSON, in one text."""
    if isinstance(node, Group):
        texts = [as_json(platform, item) for item in node.items]
        if node.container != "dict":
            return f"[{', '.join(texts)}]"
        keys = [as_json(platform, key) for key in node.keys]
        quoted = [key if key.startswith('"') else f'"{key}"' for key in keys]
        return "{" + ", ".join(f"{key}: {text}" for key, text in zip(quoted, texts, strict=True)) + "}"
    artifact = cast("Artifact", node)
    if artifact.format not in exporting.READ:
        said = {"kind": artifact.kind, "name": artifact.note, "format": artifact.format}
        return msgspec.json.encode(said | {"size": artifact.size, "sha256": artifact.digest}).decode()
    with _held(platform, artifact) as content:
        return exporting.as_json(artifact.format, content, artifact.kind).decode()


def write_out(platform: Platform, found: Addressed) -> None:
    """Write the bytes of a value to standard output, a table as CSV."""
    artifact = found.node
    if not isinstance(artifact, Artifact) or artifact.format in ("folder", "bundle"):
        raise UsageError("several values do not fit one stream", hint="name a folder: `-o FOLDER`")
    with tempfile.TemporaryDirectory(prefix="fairway-") as folder:
        suffix = ".csv" if artifact.format == "arrow" else exporting.usual_suffix(artifact.format)
        (target,) = write(platform, found, Path(folder) / f"value{suffix}")
        pour(target)


def write(platform: Platform, found: Addressed, target: Path, *, check: bool = False) -> list[Path]:
    """Write a value to a file or folder. Several values become files of a folder. Return what was written."""
    node = found.node
    if isinstance(node, Group):
        if target.suffix and not target.is_dir():
            raise UsageError(
                f"{found.name} is {len(node.items)} values, which do not fit the file {target}",
                hint="name a folder: `-o FOLDER`",
            )
        target.mkdir(parents=True, exist_ok=True)
        named = [(results.key_of(node, place), item) for place, item in enumerate(node.items)]
        return [
            path
            for name, item in named
            for path in write(platform, Addressed(name=file_name(name), node=item), target, check=check)
        ]
    artifact = cast("Artifact", node)
    if found.is_shown:
        return [_write_picture(platform, artifact, found.name, target)]
    place = place_of(artifact, found.name, target, exporting.usual_suffix(artifact.format))
    place.parent.mkdir(parents=True, exist_ok=True)
    with bringing.written(place) as part:
        if artifact.format in OWN or exporting.is_stored_as(artifact.format, place.suffix):
            ask(bringing.bring(platform, artifact, part, check=check))
        else:
            with _held(platform, artifact) as content:
                exporting.export(artifact.format, content, artifact.kind, part)
    return [place]


def _write_picture(platform: Platform, artifact: Artifact, name: str, target: Path) -> Path:
    """Write a picture or table that was shown, as SVG or as a page."""
    with _held(platform, artifact) as content:
        suffix, text = rendered(artifact, look(artifact.format, content, artifact.kind))
    if target.is_dir() or str(target).endswith(os.sep):
        target /= file_name(f"{name}.{suffix}")
    if target.suffix != f".{suffix}":
        raise UsageError(f"it is kept as .{suffix}", hint=f"`-o {target.with_suffix('.' + suffix)}`")
    target.parent.mkdir(parents=True, exist_ok=True)
    with bringing.written(target) as part:
        part.write_text(text, encoding="utf-8")
    return target


class _held:
    """The content of an artifact for reading: inline bytes, or a file or folder that lasts as long as the block."""

    def __init__(self, platform: Platform, artifact: Artifact) -> None:
        self._platform = platform
        self._artifact = artifact
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> bytes | Path:
        if self._artifact.inline is not None:
            return self._artifact.inline
        self._folder = tempfile.TemporaryDirectory(prefix="fairway-")
        path = Path(self._folder.name) / "content"
        try:
            ask(bringing.bring(self._platform, self._artifact, path))
        except BaseException:
            self._folder.cleanup()
            raise
        return path

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()
