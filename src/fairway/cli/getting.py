"""The command `get`: a value, file or folder of a run, brought to where a person wants it or printed."""

import os
import tempfile
from pathlib import Path
from typing import cast

import click
import msgspec

from fairway.cli import looking, results
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.story import pour, report, show, show_text
from fairway.cli.targeting import targeted
from fairway.engine import addresses, bringing
from fairway.engine.addresses import Addressed
from fairway.engine.pictures import rendered
from fairway.formats import exporting, look
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, Group, Node
from fairway.spec.errors import EXIT_DONE, UsageError

_ROWS = 100
_SHOWN_TEXT = 1 << 20
_OWN = ("file", "folder")


@targeted
@click.command("get")
@click.argument("value", cls=Argument, completes="run_or_step")
@click.option(
    "--output", "-o", metavar="PATH", default="",
    help="Write it to this file or folder, in the format of the name's end; `-` is standard output.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Compare files over 256 MiB with their digests too.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def get_command(value: str, output: str, check: bool, as_json: bool) -> int:
    """Print a value of a run, or write it to a file in an open format.

    VALUE is RUN for what the pipeline returned, RUN/STEP for what a step returned, or RUN/STEP/NAME for one of its inputs, one of
    several outputs by number, or a picture by its title. The word `pipeline` stands for the pipeline's own function.

    A table becomes Parquet, CSV, JSON or Arrow, an array npy, CSV, JSON or PNG, plain data JSON; a file or folder stays as it is.
    Models and pickles are copied and never opened.

    \b
    Example:
      fairway get k7m2/prepare -o prepared.csv
    """
    platform = looking.opened()
    run, _, path = value.partition("/")
    found = addresses.find(ask(platform.run(ask(platform.find(run)))), path)
    try:
        if as_json:
            show_text(_as_json(platform, found.node))
        elif output == "-":
            _to_standard_output(platform, found)
        elif output:
            written = _write(platform, found, Path(output), check=check)
            report(*(f"written to {one}" for one in written))
        else:
            _print(platform, found, value)
    finally:
        ask(platform.close())
    return EXIT_DONE


def _print(platform: Platform, found: Addressed, value: str) -> None:
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
        name = node.note if node.format in _OWN else f"{found.name}{suffix}"
        report(f"hint: `fairway get {value} -o {name}` writes it to a file")


def _as_json(platform: Platform, node: Node) -> str:
    """Return a value as JSON, in one text."""
    if isinstance(node, Group):
        texts = [_as_json(platform, item) for item in node.items]
        if node.container != "dict":
            return f"[{', '.join(texts)}]"
        keys = [_as_json(platform, key) for key in node.keys]
        quoted = [key if key.startswith('"') else f'"{key}"' for key in keys]
        return "{" + ", ".join(f"{key}: {text}" for key, text in zip(quoted, texts, strict=True)) + "}"
    artifact = cast("Artifact", node)
    if artifact.format not in exporting.READ:
        said = {"kind": artifact.kind, "name": artifact.note, "format": artifact.format}
        return msgspec.json.encode(said | {"size": artifact.size, "sha256": artifact.digest}).decode()
    with _held(platform, artifact) as content:
        return exporting.as_json(artifact.format, content, artifact.kind).decode()


def _to_standard_output(platform: Platform, found: Addressed) -> None:
    """Write the bytes of a value to standard output, a table as CSV."""
    artifact = found.node
    if not isinstance(artifact, Artifact) or artifact.format in ("folder", "bundle"):
        raise UsageError("several values do not fit one stream", hint="name a folder: `-o FOLDER`")
    with tempfile.TemporaryDirectory(prefix="fairway-") as folder:
        suffix = ".csv" if artifact.format == "arrow" else exporting.usual_suffix(artifact.format)
        (target,) = _write(platform, found, Path(folder) / f"value{suffix}")
        pour(target)


def _write(platform: Platform, found: Addressed, target: Path, *, check: bool = False) -> list[Path]:
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
            for path in _write(platform, Addressed(name=_file_name(name), node=item), target, check=check)
        ]
    artifact = cast("Artifact", node)
    if found.is_shown:
        return [_write_picture(platform, artifact, found.name, target)]
    place = _place(artifact, found.name, target)
    place.parent.mkdir(parents=True, exist_ok=True)
    with bringing.written(place) as part:
        if artifact.format in _OWN or exporting.is_stored_as(artifact.format, place.suffix):
            ask(bringing.bring(platform, artifact, part, check=check))
        else:
            with _held(platform, artifact) as content:
                exporting.export(artifact.format, content, artifact.kind, part)
    return [place]


def _place(artifact: Artifact, name: str, target: Path) -> Path:
    """Return the path of the file or folder to write: in `target` if that is a folder, else `target` itself."""
    into = target.is_dir() or str(target).endswith(os.sep)
    if into:
        own = artifact.note if artifact.format in _OWN else ""
        target /= _file_name(own or f"{name}{exporting.usual_suffix(artifact.format)}")
    elif not target.suffix and artifact.format not in _OWN:
        suffix = exporting.usual_suffix(artifact.format)
        target = target.with_name(f"{target.name}{suffix}")
    if artifact.files and target.exists():
        raise UsageError(f"{target} exists already", hint="name a new folder")
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint="name a file in it")
    return target


def _write_picture(platform: Platform, artifact: Artifact, name: str, target: Path) -> Path:
    """Write a picture or table that was shown, as SVG or as a page."""
    with _held(platform, artifact) as content:
        suffix, text = rendered(artifact, look(artifact.format, content, artifact.kind))
    if target.is_dir() or str(target).endswith(os.sep):
        target /= _file_name(f"{name}.{suffix}")
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


def _file_name(text: str) -> str:
    """Return a name as that of one file, whatever characters it has."""
    safe = "".join(letter if letter.isalnum() or letter in "-_. " else "-" for letter in text)
    return safe.lstrip(".") or "value"
