"""Source files kept as a bundle: by digest, once, and never what holds a secret."""

import hashlib
import os
from pathlib import Path

import pytest

from fairway.engine import bundles
from fairway.spec.artifact import Artifact
from fairway.spec.errors import NotFound
from fairway.spec.project import SourceFile
from fairway.stores import FileArtifacts


def described(folder: Path, texts: dict[str, str], secret: str = "") -> tuple[SourceFile, ...]:
    """Source files that are written into a folder, as a host describes them."""
    found: list[SourceFile] = []
    for name, text in texts.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        found.append(
            SourceFile(
                path=name,
                place=str(place),
                digest=hashlib.sha256(text.encode()).hexdigest(),
                size=len(text),
                executable=os.access(place, os.X_OK),
                secret="TOKEN" if name == secret else "",
            )
        )
    return tuple(found)


@pytest.fixture
def store(tmp_path: Path) -> FileArtifacts:
    return FileArtifacts(tmp_path / "store")


def test_a_bundle_is_read_as_it_was_kept(tmp_path: Path, store: FileArtifacts) -> None:
    files = described(tmp_path, {"flow.py": "A = 1\n", "shop/features.py": "B = 2\n"})
    bundle = bundles.keep(files, store)
    assert bundles.texts(bundle, store) == {"flow.py": "A = 1\n", "shop/features.py": "B = 2\n"}
    assert store.holds(Artifact(format="folder", digest=bundle, size=0, files=True))


def test_the_digest_is_that_of_paths_modes_and_contents(tmp_path: Path, store: FileArtifacts) -> None:
    texts = {"flow.py": "A = 1\n", "side.py": "B = 1\n"}
    first = bundles.keep(described(tmp_path / "a", texts), store)
    assert bundles.keep(described(tmp_path / "b", texts), store) == first
    assert bundles.keep(described(tmp_path / "a", {**texts, "side.py": "B = 2\n"}), store) != first
    assert (
        bundles.keep(described(tmp_path / "a", {"flow.py": "A = 1\n", "other.py": "B = 1\n"}), store) != first
    )
    os.chmod(tmp_path / "b" / "flow.py", 0o755)
    assert bundles.keep(described(tmp_path / "b", texts), store) != first


def test_without_files_there_is_no_bundle(store: FileArtifacts) -> None:
    assert bundles.keep((), store) == bundles.digest_of(()) == ""
    assert not store.root.exists()


def test_what_is_kept_already_is_not_written_again(tmp_path: Path, store: FileArtifacts) -> None:
    files = described(tmp_path, {"flow.py": "A = 1\n"})
    bundle = bundles.keep(files, store)
    path = store.root / "blobs" / files[0].digest[:2] / files[0].digest
    os.utime(path, (1, 1))
    before = path.stat().st_ino
    assert bundles.keep(files, store) == bundle
    assert path.stat().st_ino == before
    assert path.stat().st_mtime > 1  # it counts as new, so that no sweep takes it


@pytest.mark.parametrize("left", [0, 1], ids=["file", "list"])
def test_what_is_missing_is_written_again(tmp_path: Path, store: FileArtifacts, left: int) -> None:
    files = described(tmp_path, {"flow.py": "A = 1\n"})
    bundle = bundles.keep(files, store)
    gone = (files[0].digest, bundle)[left]
    (store.root / "blobs" / gone[:2] / gone).unlink()
    assert bundles.keep(files, store) == bundle
    assert bundles.texts(bundle, store) == {"flow.py": "A = 1\n"}


def test_a_file_that_holds_a_secret_is_named_and_not_kept(tmp_path: Path, store: FileArtifacts) -> None:
    files = described(tmp_path, {"flow.py": "A = 1\n", "keys.py": "K = 'hunter2hunter2'\n"}, secret="keys.py")
    bundle = bundles.keep(files, store)
    assert bundles.texts(bundle, store) == {"flow.py": "A = 1\n", "keys.py": None}
    assert not store.exists(files[1].digest)


def test_a_file_that_was_changed_meanwhile_is_named_and_not_kept(
    tmp_path: Path, store: FileArtifacts
) -> None:
    files = described(tmp_path, {"flow.py": "A = 1\n", "side.py": "B = 1\n"})
    (tmp_path / "flow.py").write_text("A = 2\n")
    (tmp_path / "side.py").unlink()
    assert bundles.texts(bundles.keep(files, store), store) == {"flow.py": None, "side.py": None}


def test_changed_files_are_those_that_differ(tmp_path: Path, store: FileArtifacts) -> None:
    before = bundles.keep(described(tmp_path, {"same.py": "", "edited.py": "1", "gone.py": ""}), store)
    after = bundles.keep(described(tmp_path, {"same.py": "", "edited.py": "2", "new.py": ""}), store)
    assert bundles.changed(before, after, store) == ["edited.py", "gone.py", "new.py"]
    assert bundles.changed("0" * 64, after, store) == []


def test_a_bundle_that_is_not_there_is_not_found(store: FileArtifacts) -> None:
    with pytest.raises(NotFound):
        bundles.texts("0" * 64, store)
