"""Packages that a pod fetches before its host starts: whole, for its Python, and never outside of their folder."""

import hashlib
import io
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairway.runner import layers
from fairway.spec.errors import CorruptArtifact, FairwayError
from fairway.spec.layers import LayerList, StoredLayer

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ROOT = "opt/fairway/env"


class Store:
    """The store of a control plane, in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.asked = 0

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self.content[digest] = content
        return digest

    def get(self, digest: str, take: Callable[[Any], None]) -> bool:
        self.asked += 1
        if digest not in self.content:
            return False
        self.now = self.content[digest]
        take(self)
        return True

    def pieces(self) -> list[bytes]:
        return [self.now]


Content = bytes | tarfile.TarInfo


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, to
    return entry


def stored(store: Store, *layers: dict[str, Content], python: str = PYTHON, unpacked: int = 10**6) -> str:
    """Put layers into a store, each in two parts, and return the digest of their list."""
    listed: list[StoredLayer] = []
    for layer in layers:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for name, content in layer.items():
                if isinstance(content, tarfile.TarInfo):
                    archive.addfile(content)
                    continue
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755 if "bin/" in name else 0o644
                archive.addfile(entry, io.BytesIO(content))
        whole = raw.getvalue()
        parts = (store.put(whole[:50]), store.put(whole[50:]))
        digest = hashlib.sha256(whole).hexdigest()
        listed.append(StoredLayer(digest=digest, size=len(whole), unpacked=unpacked, parts=parts))
    return store.put(LayerList(python=python, layers=tuple(listed)).encode())


def test_layers_are_put_together_unpacked_and_not_fetched_again(tmp_path: Path) -> None:
    store = Store()
    one: dict[str, Content] = {
        f"{ROOT}/site/one.py": b"1",
        "link": link(f"{ROOT}/site/same.py", "one.py"),
    }
    digest = stored(store, one, {f"{ROOT}/site/bin/two": b"2"})
    layers.fetch(store, digest, tmp_path)
    assert (tmp_path / "site" / "same.py").read_bytes() == b"1"
    assert (tmp_path / "site" / "bin" / "two").stat().st_mode & 0o100
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".gz")]
    asked = store.asked
    layers.fetch(store, digest, tmp_path)
    assert store.asked == asked


def test_what_an_earlier_try_left_is_removed_first(tmp_path: Path) -> None:
    store = Store()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "half.py").write_text("")
    layers.fetch(store, stored(store, {f"{ROOT}/site/one.py": b"1"}), tmp_path)
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["one.py"]


@pytest.mark.parametrize(
    "layer",
    [
        {"/etc/passwd": b""},
        {f"{ROOT}/../../etc/passwd": b""},
        {"usr/lib/x.py": b""},
        {f"{ROOT}/out": link(f"{ROOT}/out", "/etc")},
        {f"{ROOT}/out": link(f"{ROOT}/out", "../../x")},
        {f"{ROOT}/out": link(f"{ROOT}/out", "site"), f"{ROOT}/out/x": b""},
        {f"{ROOT}/hard": link(f"{ROOT}/hard", f"{ROOT}/site", tarfile.LNKTYPE)},
        {f"{ROOT}/device": link(f"{ROOT}/device", "", tarfile.CHRTYPE)},
    ],
    ids=["absolute", "up", "elsewhere", "link out", "link up", "behind a link", "hard link", "device"],
)
def test_an_archive_that_leads_out_of_its_folder_is_refused(
    layer: dict[str, Content], tmp_path: Path
) -> None:
    store = Store()
    digest, folder = stored(store, layer), tmp_path / "env"
    folder.mkdir()
    with pytest.raises(CorruptArtifact):
        layers.fetch(store, digest, folder)
    assert not (folder / f".complete-{digest}").exists()


def test_content_that_is_not_what_its_digest_says_is_never_unpacked(tmp_path: Path) -> None:
    store = Store()
    digest = stored(store, {f"{ROOT}/one.py": b"1" * 1000})
    for other in store.content:
        if other != digest:
            store.content[other] = store.content[other] + b"x"
    with pytest.raises(CorruptArtifact, match="was changed on its way"):
        layers.fetch(store, digest, tmp_path)
    assert not (tmp_path / "one.py").exists()


def test_an_archive_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    store = Store()
    with pytest.raises(CorruptArtifact, match="holds more than it says"):
        layers.fetch(store, stored(store, {f"{ROOT}/big": bytes(5000)}, unpacked=4000), tmp_path)


def test_packages_for_another_python_are_refused_with_both_versions(tmp_path: Path) -> None:
    store = Store()
    with pytest.raises(FairwayError, match=rf"for Python 2\.7, and this image has Python {PYTHON}"):
        layers.fetch(store, stored(store, python="2.7"), tmp_path)


def test_what_the_store_has_lost_is_named(tmp_path: Path) -> None:
    store = Store()
    digest = stored(store, {f"{ROOT}/one.py": b"1"})
    del store.content[next(iter(store.content))]
    with pytest.raises(CorruptArtifact, match="does not hold"):
        layers.fetch(store, digest, tmp_path)
