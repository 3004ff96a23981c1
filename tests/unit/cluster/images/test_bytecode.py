"""Bytecode in layers: there with a Python of the nodes' version, left out with a note without one."""

import importlib.util
import marshal
import sys
from pathlib import Path

import msgspec
import pytest

from fairway.cluster.images.bytecode import compiled
from fairway.cluster.images.layers import Entry, entries_below
from fairway.cluster.images.programs import find_python
from fairway.cluster.images.workshop import Workshop

from .conftest import soon

PYTHON = ".".join(map(str, sys.version_info[:2]))
TAG = f"cpython-{PYTHON.replace('.', '')}"


def tree(folder: Path) -> list[Entry]:
    """Makes modules, one of which is wrong, and returns their entries."""
    (folder / "pack").mkdir(parents=True)
    (folder / "pack/__init__.py").write_text("VALUE = {'a', 'b', 'c'}\n")
    (folder / "pack/wrong.py").write_text("def {{ name }}(): pass\n")
    (folder / "pack/data.txt").write_text("data\n")
    return entries_below(folder, "opt/x")


def content(entries: list[Entry]) -> dict[str, bytes]:
    return {entry.name: entry.source.read_bytes() for entry in entries if isinstance(entry.source, Path)}


def test_modules_are_compiled_once_and_for_all(tmp_path: Path, workshop: Workshop) -> None:
    found = content(soon(compiled(tree(tmp_path / "one"), PYTHON, tmp_path / "out", workshop)))
    (name,) = found
    assert name == f"opt/x/pack/__pycache__/__init__.{TAG}.pyc"
    header, code = found[name][:16], marshal.loads(found[name][16:])
    assert header[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(header[4:8], "little") == 0b01, "it is found by hash, which is not checked"
    assert code.co_filename == "/opt/x/pack/__init__.py"


def test_bytecode_does_not_depend_on_the_folder(tmp_path: Path, workshop: Workshop) -> None:
    both = [
        content(soon(compiled(tree(tmp_path / name), PYTHON, tmp_path / f"{name}-out", workshop)))
        for name in ("one", "a longer name")
    ]
    assert both[0] == both[1]


@pytest.mark.parametrize("stand_in", ["", "#!/bin/sh\necho no such version >&2; exit 127\n"])
def test_without_the_python_of_the_nodes_a_note_says_so(
    stand_in: str, tmp_path: Path, workshop: Workshop
) -> None:
    notes: list[str] = []
    if stand_in:
        (tmp_path / "python3.99").write_text(stand_in)
        (tmp_path / "python3.99").chmod(0o755)
    environment = workshop.environment | {"PATH": str(tmp_path)}  # type: ignore[operator]
    tools = msgspec.structs.replace(workshop, environment=environment, note=notes.append)
    assert find_python("3.99", environment) == ""
    assert soon(compiled(tree(tmp_path / "one"), "3.99", tmp_path / "out", tools)) == []
    assert "there is no Python 3.99 on this machine" in notes[0]
