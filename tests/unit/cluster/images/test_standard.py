"""Bytecode for the standard library of a base: made from the base's own layers, where the base has none."""

import errno
import marshal
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from fairway.cluster.images.assembling import Order, push_fairway
from fairway.cluster.images.bases import Base, read_base
from fairway.cluster.images.credentials import Login
from fairway.cluster.images.layers import Entry, Layer
from fairway.cluster.images.names import parse_image
from fairway.cluster.images.registry import Registry
from fairway.cluster.images.standard import standard_layers
from fairway.cluster.images.workshop import Workshop

from .conftest import Served, put_base, soon

PYTHON = ".".join(map(str, sys.version_info[:2]))
TAG = f"cpython-{PYTHON.replace('.', '')}"
LIBRARY = f"usr/local/lib/python{PYTHON}"


def module(name: str, text: str = "VALUE = 1\n") -> Entry:
    return Entry(f"{LIBRARY}/{name}", text.encode())


def bytecode(kind: int, time: int) -> Entry:
    """The bytecode of a base for a source that has the time 0, as all files of our layers."""
    header = b"made" + kind.to_bytes(4, "little") + time.to_bytes(4, "little") + bytes(4)
    return Entry(f"{LIBRARY}/__pycache__/os.{TAG}.pyc", header + b"code")


LIBRARY_LAYER = (
    module("os.py"),
    module("json/__init__.py"),
    module("json/tool.py"),
    module("test/test_os.py"),
    module("site-packages/pip/__init__.py"),
    Entry("usr/local/bin/program.py", b""),
)


def layers(
    registry: Served, tools: Workshop, folder: Path, on_top: Sequence[Sequence[Entry]], path: str = "python"
) -> list[Layer]:
    """The layers for a base with more layers on top."""

    async def made() -> list[Layer]:
        repository = registry.repository(path)
        variables = ("PATH=/usr/bin", f"PYTHON_VERSION={PYTHON}.2")
        await put_base(repository, folder, variables=variables, on_top=on_top)
        async with Registry(repository.place, Login()) as client:
            name = parse_image(f"{registry.host}/{path}:3.11")
            base: Base = await read_base(client, name, "", "linux/amd64", tools)
            return await standard_layers(client, base, tools)

    return soon(made())


def names(found: list[Layer]) -> list[str]:
    (layer,) = found
    with tarfile.open(layer.file) as tar:
        return [member.name for member in tar.getmembers() if member.isfile()]


def values(found: list[Layer], name: str) -> tuple[object, ...]:
    """The constants in the code of a module."""
    (layer,) = found
    with tarfile.open(layer.file) as tar:
        content = tar.extractfile(f"{LIBRARY}/{name}")
        assert content is not None
        return tuple(marshal.loads(content.read()[16:]).co_consts)


def cached(*modules: str) -> list[str]:
    return [f"{LIBRARY}/{name}.{TAG}.pyc" for name in modules]


def test_the_modules_of_a_base_get_bytecode_beside_them(
    registry: Served, workshop: Workshop, tmp_path: Path
) -> None:
    found = layers(registry, workshop, tmp_path, [LIBRARY_LAYER, [Entry("etc/later", b"")]])
    assert names(found) == cached("__pycache__/os", "json/__pycache__/__init__", "json/__pycache__/tool")


def test_folders_of_the_base_keep_their_mode(registry: Served, workshop: Workshop, tmp_path: Path) -> None:
    (layer,) = layers(registry, workshop, tmp_path, [LIBRARY_LAYER])
    with tarfile.open(layer.file) as tar:
        folders = [member.name for member in tar.getmembers() if member.isdir()]
    assert folders == [f"{LIBRARY}/__pycache__", f"{LIBRARY}/json/__pycache__"]


def test_a_module_that_a_later_layer_replaced_is_compiled_as_it_is_there(
    registry: Served, workshop: Workshop, tmp_path: Path
) -> None:
    found = layers(registry, workshop, tmp_path, [LIBRARY_LAYER, [module("json/tool.py", "VALUE = 2\n")]])
    assert 2 in values(found, f"json/__pycache__/tool.{TAG}.pyc")
    assert 1 in values(found, f"__pycache__/os.{TAG}.pyc")


@pytest.mark.parametrize("mark", [".wh.json", "json/.wh..wh..opq"])
def test_a_folder_that_a_later_layer_removed_does_not_come_back(
    registry: Served, workshop: Workshop, tmp_path: Path, mark: str
) -> None:
    found = layers(registry, workshop, tmp_path, [LIBRARY_LAYER, [module(mark, ""), module("new.py")]])
    assert names(found) == cached("__pycache__/new", "__pycache__/os")


def test_a_module_that_a_later_layer_removed_does_not_come_back(
    registry: Served, workshop: Workshop, tmp_path: Path
) -> None:
    found = layers(registry, workshop, tmp_path, [LIBRARY_LAYER, [module("json/.wh.tool.py", "")]])
    assert names(found) == cached("__pycache__/os", "json/__pycache__/__init__")


@pytest.mark.parametrize(
    "content",
    [
        [Entry("etc/nothing", b"")],
        [*LIBRARY_LAYER, bytecode(kind=0, time=0)],
        [*LIBRARY_LAYER, bytecode(kind=1, time=1_700_000_000)],
    ],
    ids=["no standard library", "bytecode by time", "bytecode by hash"],
)
def test_a_base_that_needs_none_gets_no_layer(
    registry: Served, workshop: Workshop, tmp_path: Path, content: list[Entry]
) -> None:
    assert layers(registry, workshop, tmp_path, [content]) == []


def test_bytecode_whose_time_is_not_that_of_its_source_is_made_again(
    registry: Served, workshop: Workshop, tmp_path: Path
) -> None:
    stale = bytecode(kind=0, time=1_700_000_000)
    assert names(layers(registry, workshop, tmp_path, [[*LIBRARY_LAYER, stale]]))[0] == stale.name


def test_without_the_python_of_the_base_nothing_is_fetched(
    registry: Served, workshop: Workshop, tmp_path: Path
) -> None:
    async def made() -> list[Layer]:
        repository = registry.repository("other")
        await put_base(repository, tmp_path, variables=("PYTHON_VERSION=3.99.1",), on_top=[LIBRARY_LAYER])
        async with Registry(repository.place, Login()) as client:
            base = await read_base(
                client, parse_image(f"{registry.host}/other:3.11"), "", "linux/amd64", workshop
            )
            kept = set(workshop.blobs.iterdir())
            found = await standard_layers(client, base, workshop)
            assert set(workshop.blobs.iterdir()) == kept
            return found

    assert soon(made()) == []


def test_a_full_disk_is_no_base_without_a_standard_library(
    registry: Served, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", full)
        with pytest.raises(OSError, match="No space left"):
            layers(registry, workshop, tmp_path, [LIBRARY_LAYER])
    assert len(names(layers(registry, workshop, tmp_path, [LIBRARY_LAYER]))) == 3


def test_it_is_made_once_for_a_base(registry: Served, workshop: Workshop, tmp_path: Path) -> None:
    notes: list[str] = []
    tools = msgspec.structs.replace(workshop, note=notes.append)
    first = layers(registry, tools, tmp_path, [LIBRARY_LAYER])
    assert any("fetching layer" in note for note in notes)
    notes.clear()
    for file in tools.blobs.iterdir():
        file.unlink()
    assert layers(registry, tools, tmp_path, [LIBRARY_LAYER]) == first
    assert notes == []


def test_the_image_of_fairway_brings_it_along(registry: Served, workshop: Workshop, tmp_path: Path) -> None:
    notes: list[str] = []
    tools = msgspec.structs.replace(workshop, note=notes.append)
    repository = registry.repository("whole/python")
    variables = ("PATH=/usr/bin", f"PYTHON_VERSION={PYTHON}.2")
    soon(put_base(repository, tmp_path, variables=variables, on_top=[LIBRARY_LAYER]))
    order = Order(registry=f"{registry.host}/whole", base=f"{registry.host}/whole/python:3.11")
    soon(push_fairway(order, tools))
    assert any(note.startswith(f"bytecode for the standard library of Python {PYTHON}") for note in notes)
