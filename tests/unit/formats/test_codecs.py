import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest

from fairway.formats import decode, encode
from fairway.spec.errors import SerializationError


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.marker), "w"))


def test_a_pickle_is_refused_where_its_origin_is_not_trusted(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = pickle.dumps(Bomb(marker))
    with pytest.raises(SerializationError, match="can run code"):
        decode("pickle", data, "Bomb", allow_pickle=False)
    assert not marker.exists()
    decode("pickle", data, "Bomb")
    assert marker.exists()


@pytest.mark.parametrize(
    "format",
    ["npy", "arrow", "json", "bundle", "skops", "safetensors", "ubj", "lightgbm-text", "onnx", "sparse"],
)
def test_a_pickle_under_another_name_does_not_run(format: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "content"
    path.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(SerializationError):
        decode(format, path, "numpy.ndarray")
    with pytest.raises(SerializationError):
        decode(format, path.read_bytes(), "numpy.ndarray")
    assert not marker.exists()


def test_an_array_file_that_holds_a_pickle_does_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.npy"
    np.save(path, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    for content in (path, path.read_bytes()):
        with pytest.raises(SerializationError):
            decode("npy", content, "numpy.ndarray")
    assert not marker.exists()


@pytest.mark.parametrize("inner", ["pickle", "keras", "torchscript"])
def test_code_inside_a_bundle_is_refused_too(inner: str, tmp_path: Path) -> None:
    import base64

    marker = tmp_path / "ran"
    data = base64.b64encode(pickle.dumps(Bomb(marker))).decode()
    bundle = f'[{{"$leaf":"{inner}","kind":"x","data":"{data}"}}]'.encode()
    with pytest.raises(SerializationError, match="can run code"):
        decode("bundle", bundle, allow_pickle=False)
    assert not marker.exists()


def test_pickle_is_the_last_resort_and_visible() -> None:
    encoded = encode(lambda value: value + 1)
    assert (encoded.format, encoded.code) == ("pickle", True)
    assert decode("pickle", encoded.data or b"")(1) == 2
    assert not encode(1).code


def test_pickle_can_be_forbidden() -> None:
    with pytest.raises(SerializationError, match="type function can only be stored as a pickle") as error:
        encode(lambda: 1, allow_pickle=False)
    assert "fw.File" in error.value.hint


@pytest.mark.parametrize(
    ("value", "kind"), [((n for n in ()), "generator"), (threading.Lock(), "lock"), (sys.stdout, "TextIO")]
)
def test_what_cannot_be_stored_is_named(value: object, kind: str) -> None:
    with pytest.raises(SerializationError, match="cannot be stored") as error:
        encode([value])
    assert error.value.hint
    assert "list" in str(error.value) or kind in str(error.value)


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(SerializationError, match="unknown format 'zip'"):
        decode("zip", b"")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(SerializationError, match="not installed") as error:
        decode("lightgbm-text", b"tree", "lightgbm.Booster")
    assert error.value.hint == "`pip install lightgbm`"


def test_plain_values_import_no_framework() -> None:
    code = (
        "import sys; from fairway.formats import encode, decode;"
        "decode('json', encode({'a': [1, (2,)]}).data); encode(lambda: 1);"
        "print([m for m in ('numpy', 'pandas', 'sklearn', 'pyarrow', 'onnxruntime') if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    out = run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert out.stdout.strip() == "[]"


class _UserFile:
    __fairway_kind__ = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def __fairway_path__(self) -> Path:
        return self.path


class _UserFolder(_UserFile):
    __fairway_kind__ = "folder"


def test_files_and_folders_are_copied_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("<p>")
    encoded = encode(_UserFile(path))
    assert (encoded.format, encoded.note, encoded.source) == ("file", "report.html", path)
    assert decode("file", path) == path
    assert encode(_UserFolder(tmp_path)).format == "folder"
    with pytest.raises(SerializationError, match="does not exist"):
        encode(_UserFile(tmp_path / "gone"))
    with pytest.raises(SerializationError, match="is a folder, not a file") as error:
        encode(_UserFile(tmp_path))
    assert error.value.hint == "return `fw.Folder(path)`"


def test_files_in_a_container(tmp_path: Path, trip: Callable[..., Any]) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.txt").write_text("a")
    (tmp_path / "one.txt").write_text("one")
    first, second = trip([_UserFolder(tmp_path / "f"), _UserFile(tmp_path / "one.txt")], "bundle")
    assert (first / "a.txt").read_text() == "a"
    assert second.read_text() == "one"
