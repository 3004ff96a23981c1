"""The content and the packages that the image of an endpoint gets."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from fairway.cluster.images.served import Content
from fairway.local.bundling import collect
from fairway.local.digests import DigestCache
from fairway.remote import RemotePlatform
from fairway.spec.artifact import Artifact, Manifest
from fairway.spec.errors import CorruptArtifact
from fairway.spec.model import Candidate, Lineage, ModelVersion, Signature
from fairway.stores.blobs import FileArtifacts
from fairway.wiring.served_images import fetched, packages_of, served_parts
from fairway.wiring.serving import source_of


class Store:
    """A platform that has the content of a folder, and counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.files = FileArtifacts(folder)
        self.asked: list[str] = []
        self.changed = False

    async def blob(self, digest: str) -> bytes:
        self.asked.append(digest)
        found = self.files.open(Artifact(format="", digest=digest, size=self.files.touch(digest) or 0))
        assert isinstance(found, Path)
        return found.read_bytes() + (b"!" if self.changed else b"")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def blob(store: Store, content: bytes, format: str = "skops") -> Artifact:
    return Artifact(format=format, digest=store.files.put_bytes(content), size=len(content))


def folder(store: Store, tmp_path: Path, **files: str) -> Artifact:
    place = tmp_path / "tree"
    place.mkdir()
    for name, text in files.items():
        (place / f"{name}.py").write_text(text)
    digest, size = store.files.put_folder(place)
    return Artifact(format="folder", digest=digest, size=size, files=True)


def version(**candidate: Any) -> ModelVersion:
    return ModelVersion(
        name="m", version=1, candidate=Candidate(name="m", **candidate), lineage=Lineage(run="", step="")
    )


def fetch(store: Store, parts: list[Artifact], place: Path) -> Content:
    place.mkdir()
    return asyncio.run(fetched(cast("RemotePlatform", store), parts, place))


def test_all_that_a_server_opens_is_fetched_once(store: Store, tmp_path: Path) -> None:
    code = folder(store, tmp_path, a="1", b="1")
    model = blob(store, b"weights")
    content = fetch(store, [model, code, model], tmp_path / "here")
    assert sorted(store.asked) == sorted(
        {model.digest, code.digest, *(one.digest for one in store.files.files(code.digest))}
    )
    for digest, path in content.blobs.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert [one.path for one in content.folders[code.digest]] == ["a.py", "b.py"]


def test_content_that_was_changed_on_its_way_is_refused(store: Store, tmp_path: Path) -> None:
    model = blob(store, b"weights")
    store.changed = True
    with pytest.raises(CorruptArtifact):
        fetch(store, [model], tmp_path / "here")


def test_the_compiled_form_is_served_and_the_other_one_is_left_out(store: Store) -> None:
    native, compiled, samples = (blob(store, name) for name in (b"native", b"compiled", b"samples"))
    found = served_parts(version(artifact=native, compiled=compiled, samples=samples))
    assert [one.digest for one in found] == [compiled.digest, samples.digest]


def test_what_the_record_holds_itself_needs_no_image(store: Store) -> None:
    inline = Artifact(format="onnx", digest="0" * 64, size=2, inline=b"{}")
    assert served_parts(version(artifact=inline, samples=inline)) == []


def test_the_source_files_of_a_model_travel_with_it(store: Store, tmp_path: Path) -> None:
    code = folder(store, tmp_path, shop="RATE = 2")
    model = Artifact(format="pickle", digest="1" * 64, size=9, code=code.digest)
    assert [one.digest for one in served_parts(version(artifact=model))] == ["1" * 64, code.digest]


@pytest.mark.parametrize(
    ("format", "framework", "table", "packages"),
    [
        ("skops", "scikit-learn 1.9.1", "", ["scikit-learn==1.9.1", "skops"]),
        ("skops", "scikit-learn 1.9.1", "pandas", ["pandas", "scikit-learn==1.9.1", "skops"]),
        ("ubj", "XGBoost 3.1.0", "", ["xgboost-cpu==3.1.0"]),
        ("safetensors", "PyTorch 2.9.0+cpu", "", ["safetensors", "torch==2.9.0"]),
        ("onnx", "ONNX 1.19.0", "", ["onnxruntime"]),
    ],
)
def test_a_model_whose_run_is_not_known_gets_the_packages_that_read_it(
    format: str, framework: str, table: str, packages: list[str]
) -> None:
    artifact = Artifact(format=format, digest="0" * 64, size=9)
    signature = Signature(layout="tensor", inputs=(), outputs=(), table=table)
    assert packages_of(version(artifact=artifact, framework=framework, signature=signature)) == packages


def test_a_compiled_model_needs_its_runtime_alone() -> None:
    artifact = Artifact(format="skops", digest="0" * 64, size=9)
    compiled = Artifact(format="onnx", digest="1" * 64, size=9)
    made = version(artifact=artifact, compiled=compiled, framework="scikit-learn 1.9.1")
    assert packages_of(made) == ["onnxruntime"]


def test_functions_are_imported_from_the_folder_of_their_modules(tmp_path: Path) -> None:
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.fairway]\n")
    (tmp_path / "src" / "shop" / "__init__.py").write_text("")
    (tmp_path / "src" / "shop" / "flow.py").write_text("import fairway as fw\n")
    bundle = collect(
        str(tmp_path / "src" / "shop" / "flow.py"), "", DigestCache(str(tmp_path / ".cache.json"))
    )
    whole, manifest = source_of(bundle, str(tmp_path))
    assert (whole.digest, manifest) == (bundle.digest, bundle.manifest)
    part, listed = source_of(bundle, str(tmp_path / "src"))
    assert hashlib.sha256(listed).hexdigest() == part.digest
    assert [one.path for one in msgspec.json.decode(listed, type=Manifest).files] == [
        "shop/__init__.py",
        "shop/flow.py",
    ]
