"""The layer with the content of an endpoint: the same to the bit, opened where it is only read, and sent once."""

import hashlib
import os
import random
import tarfile
from pathlib import Path

import msgspec
import pytest

from fairway.cluster.images.layers import Layer, write_layer
from fairway.cluster.images.refusals import RegistryDenied
from fairway.cluster.images.served import SERVED, Content, Wanted, served_entries, served_image
from fairway.cluster.images.workshop import Workshop
from fairway.spec.artifact import Artifact
from fairway.spec.errors import CorruptArtifact
from fairway.spec.host import StorePlace
from fairway.stores.blobs import FileArtifacts
from fairway.stores.opening import open_store

from .conftest import Served, put_base, serve, soon


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> tuple[Content, Artifact, Artifact]:
    """A file and a folder of a store, with the store's own files as content."""
    store = FileArtifacts(tmp_path / "store")
    tree = tmp_path / "tree"
    (tree / "shop").mkdir(parents=True)
    (tree / "shop" / "rates.py").write_text("RATE = 2\n")
    (tree / "same.py").write_text("RATE = 2\n")
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o755)
    model = Artifact(format="onnx", digest=store.put_bytes(b"weights" * 100), size=700)
    listed, size = store.put_folder(tree)
    folder = Artifact(format="folder", digest=listed, size=size, files=True)
    files = store.files(listed)
    blobs = {
        one: tmp_path / "store" / "blobs" / one[:2] / one
        for one in (model.digest, listed, *(file.digest for file in files))
    }
    return Content(blobs, {listed: files}), model, folder


def unpacked(layer: Layer, folder: Path) -> Path:
    """Unpack a layer as a node does, and let nothing of it be written."""
    with tarfile.open(layer.file, "r:gz") as tar:
        tar.extractall(folder, filter="fully_trusted")
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444)
    return folder / SERVED


def test_a_store_of_files_opens_the_layer_where_it_can_only_be_read(
    source: tuple[Content, Artifact, Artifact], tmp_path: Path
) -> None:
    content, model, folder = source
    place = unpacked(write_layer(served_entries(content), "model", tmp_path / "out"), tmp_path / "image")
    before = sorted(place.rglob("*"))
    opened = open_store(StorePlace(str(place))).artifacts
    found = opened.open(model)
    assert isinstance(found, Path)
    assert found.read_bytes() == b"weights" * 100
    tree = opened.open(folder)
    assert isinstance(tree, Path)
    assert (tree / "shop" / "rates.py").read_text() == "RATE = 2\n"
    assert os.access(tree / "run.sh", os.X_OK)
    assert sorted(place.rglob("*")) == before


def test_content_that_was_changed_in_the_image_is_refused(
    source: tuple[Content, Artifact, Artifact], tmp_path: Path
) -> None:
    content, model, _ = source
    place = unpacked(write_layer(served_entries(content), "model", tmp_path / "out"), tmp_path / "image")
    blob = place / "blobs" / model.digest[:2] / model.digest
    blob.chmod(0o644)
    blob.write_bytes(b"another" * 100)
    with pytest.raises(CorruptArtifact):
        open_store(StorePlace(str(place))).artifacts.open(model)


def test_the_same_content_gives_the_same_bits_wherever_it_lay(
    source: tuple[Content, Artifact, Artifact], tmp_path: Path
) -> None:
    content = source[0]
    moved: dict[str, Path] = {}
    for name, path in random.Random(1).sample(sorted(content.blobs.items()), len(content.blobs)):
        moved[name] = tmp_path / f"other-{name}"
        moved[name].write_bytes(path.read_bytes())
        moved[name].chmod(0o400)
    layers = [
        write_layer(served_entries(one), "model", tmp_path / f"out{number}")
        for number, one in enumerate((content, Content(moved, content.folders)))
    ]
    assert layers[0].digest == layers[1].digest


def test_a_file_that_a_folder_shares_with_the_store_is_in_the_layer_once(
    source: tuple[Content, Artifact, Artifact], tmp_path: Path
) -> None:
    layer = write_layer(served_entries(source[0]), "model", tmp_path / "out")
    with tarfile.open(layer.file, "r:gz") as tar:
        members = tar.getmembers()
    contents = [one for one in members if one.isreg()]
    assert sum(one.islnk() for one in members) == 2
    assert len(contents) == len(source[0].blobs) + 1  # and a copy of the program, which has another mode


class Fetching:
    """The fetch of some content, which counts how often it is asked for."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.count = 0

    async def __call__(self, folder: Path) -> Content:
        self.count += 1
        return self.content


def wanted(source: tuple[Content, Artifact, Artifact]) -> tuple[Wanted, Fetching]:
    content, model, folder = source
    fetching = Fetching(content)
    return Wanted(digests=(model.digest, folder.digest), comment="model", fetch=fetching), fetching


def test_an_image_is_pushed_once_and_found_by_another_machine_without_fetching_anything(
    registry: Served, workshop: Workshop, source: tuple[Content, Artifact, Artifact], tmp_path: Path
) -> None:
    base = f"{registry.host}/once/fairway@" + soon(
        put_base(registry.repository("once/fairway"), tmp_path / "base")
    )
    order, fetching = wanted(source)
    first = soon(served_image(base, order, f"{registry.host}/once", "linux/amd64", workshop))
    assert first.sent > 0
    assert fetching.count == 1
    other = msgspec.structs.replace(workshop, cache=tmp_path / "other-cache")
    for tools in (workshop, other):
        again = soon(served_image(base, order, f"{registry.host}/once", "linux/amd64", tools))
        assert (again.image, again.sent) == (first.image, 0)
    assert fetching.count == 1


def test_on_another_environment_the_layer_is_not_sent_again(
    registry: Served, workshop: Workshop, source: tuple[Content, Artifact, Artifact], tmp_path: Path
) -> None:
    order, fetching = wanted(source)
    images: list[str] = []
    for number in (1, 2):
        path = f"two/base{number}"
        base = f"{registry.host}/{path}@" + soon(put_base(registry.repository(path), tmp_path / "base"))
        notes: list[str] = []
        tools = msgspec.structs.replace(workshop, note=notes.append)
        images.append(soon(served_image(base, order, f"{registry.host}/two", "linux/amd64", tools)).image)
    assert images[0] != images[1]
    assert fetching.count == 1
    assert any(note.startswith("model: there already") for note in notes)


def test_an_environment_of_the_same_repository_is_not_asked_for_its_layers(
    registry: Served, workshop: Workshop, source: tuple[Content, Artifact, Artifact], tmp_path: Path
) -> None:
    base = f"{registry.host}/own/fairway-env@" + soon(
        put_base(registry.repository("own/fairway-env"), tmp_path / "base")
    )
    notes: list[str] = []
    tools = msgspec.structs.replace(workshop, note=notes.append)
    made = soon(served_image(base, wanted(source)[0], f"{registry.host}/own", "linux/amd64", tools))
    assert made.sent > 0
    assert [note.partition(":")[0] for note in notes] == ["model"]


def test_a_registry_that_takes_nothing_from_this_person_says_so(
    workshop: Workshop,
    source: tuple[Content, Artifact, Artifact],
    tmp_path: Path,
    registry: Served,
    free_port,
) -> None:
    more = "auth:\n  htpasswd:\n    realm: x\n    path: " + str(tmp_path / "users") + "\n"
    (tmp_path / "users").write_text("ann:$2y$05$" + "a" * 53 + "\n")
    base = f"{registry.host}/denied/base@" + soon(
        put_base(registry.repository("denied/base"), tmp_path / "base")
    )
    with serve(tmp_path / "closed", free_port(), more) as closed, pytest.raises(RegistryDenied):
        soon(served_image(base, wanted(source)[0], f"{closed.host}/team", "linux/amd64", workshop))
