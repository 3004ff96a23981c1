"""Layers that do not depend on the machine, the folder, the time, the mask or the order in which they are made."""

import os
import random
import tarfile
from pathlib import Path

import pytest

from fairway.cluster.images.layers import Entry, entries_below, write_layer
from fairway.spec.errors import FairwayError

LONG = "/".join(["part" * 20] * 3) + "/file.py"
NAMES = ["b/a.py", "b.py", "b-c.py", "ä/ü €.txt", "a", LONG, "x/y/z/.hidden", "B.py", " leading", "new\nline"]


def make_tree(folder: Path, *, mask: int, shift: int) -> None:
    """Makes one and the same tree with other times, modes and another order."""
    old = os.umask(mask)
    try:
        for name in random.Random(shift).sample(NAMES, len(NAMES)):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode() * 100)
            os.utime(path, (shift, shift))
        (folder / "run.sh").write_bytes(b"#!/bin/sh\n")
        (folder / "run.sh").chmod(0o700 if mask else 0o755)
        (folder / "link").symlink_to("b.py")
        (folder / "to-folder").symlink_to("b")
        (folder / "empty").mkdir()
        os.utime(folder / "b", (shift, shift))
    finally:
        os.umask(old)


def read(file: str) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(file, "r:gz") as tar:
        return {info.name: info for info in tar.getmembers()}


def test_the_same_content_gives_the_same_bits(tmp_path: Path) -> None:
    layers = []
    for number, mask in enumerate((0o022, 0o077)):
        tree = tmp_path / str(number) / ("some" * 30 * number) / "tree"
        tree.mkdir(parents=True)
        make_tree(tree, mask=mask, shift=1_000_000_000 + number * 1000)
        entries = entries_below(tree, "opt/fairway/own")
        random.Random(number).shuffle(entries)
        layers.append(write_layer(entries, "tree", tmp_path / f"out{number}"))
    assert layers[0].diff_id == layers[1].diff_id
    assert Path(layers[0].file).read_bytes() == Path(layers[1].file).read_bytes()


@pytest.mark.parametrize("change", ["content", "name", "mode", "link"])
def test_other_content_gives_other_bits(tmp_path: Path, change: str) -> None:
    entries = [Entry("opt/a", b"1"), Entry("opt/b", link="a")]
    other = {
        "content": [Entry("opt/a", b"2"), entries[1]],
        "name": [Entry("opt/c", b"1"), entries[1]],
        "mode": [Entry("opt/a", b"1", executable=True), entries[1]],
        "link": [entries[0], Entry("opt/b", link="c")],
    }[change]
    assert write_layer(entries, "", tmp_path).diff_id != write_layer(other, "", tmp_path).diff_id


def test_a_layer_has_what_the_tree_has(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make_tree(tree, mask=0o077, shift=7)
    layer = write_layer(entries_below(tree, "opt/own"), "tree", tmp_path / "out")
    found = read(layer.file)
    assert list(found) == sorted(found)
    assert {f"opt/own/{name}" for name in NAMES} < set(found)
    assert {(info.uid, info.gid, info.uname, info.gname, info.mtime) for info in found.values()} == {
        (0, 0, "", "", 0)
    }
    assert found["opt/own/link"].linkname == "b.py"
    assert found["opt/own/to-folder"].issym()
    assert found["opt/own/empty"].isdir()
    assert found["opt/own/run.sh"].mode == 0o775
    assert found["opt/own/b.py"].mode == 0o664
    assert found["opt"].mode == found["opt/own/empty"].mode == 0o775
    with tarfile.open(layer.file) as tar:
        file = tar.extractfile("opt/own/" + LONG)
        assert file is not None
        assert file.read() == LONG.encode() * 100


def test_a_folder_that_others_have_too_keeps_its_mode(tmp_path: Path) -> None:
    layer = write_layer([Entry("opt/fairway/a", b"")], "", tmp_path, shared=["opt"])
    assert list(read(layer.file)) == ["opt/fairway", "opt/fairway/a"]


def test_what_was_left_out_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "tree/__pycache__").mkdir(parents=True)
    (tmp_path / "tree/__pycache__/a.pyc").write_bytes(b"")
    (tmp_path / "tree/a.py").write_bytes(b"")
    entries = entries_below(tmp_path / "tree", "x", leave_out=lambda path: "__pycache__" in path)
    assert [entry.name for entry in entries] == ["x/a.py"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../etc/passwd", "a/../../b", ""])
def test_a_name_that_leads_out_of_the_image_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FairwayError, match="leads out of the image"):
        write_layer([Entry(name, b"")], "", tmp_path)


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("a", b"1"), Entry("a", b"2")],
        [Entry("a", b"1"), Entry("a/b", b"2")],
        [Entry("a", b"1"), Entry("a")],
    ],
)
def test_two_things_with_one_name_are_refused(tmp_path: Path, entries: list[Entry]) -> None:
    with pytest.raises(FairwayError, match="a"):
        write_layer(entries, "", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree/pipe")
    with pytest.raises(FairwayError, match="neither a file nor a folder"):
        entries_below(tmp_path / "tree", "x")
