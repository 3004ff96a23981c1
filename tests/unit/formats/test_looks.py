"""Looks into stored values, as pages show them."""

import io
import json

import numpy as np
import pandas as pd
import pytest

import fairway as fw
from fairway.formats import looking
from fairway.formats.codecs import encode
from fairway.formats.looks import LARGEST, look, needs_content
from fairway.spec.artifact import Artifact, FileEntry, Manifest


def stored(value: object) -> tuple[Artifact, bytes]:
    encoded = encode(value)
    data = encoded.to_bytes()
    return (
        Artifact(
            format=encoded.format, digest="0" * 64, size=len(data), kind=encoded.kind, note=encoded.note
        ),
        data,
    )


def seen(value: object):
    return look(*stored(value))


def file(data: bytes) -> Artifact:
    return Artifact(format="file", digest="0" * 64, size=len(data), kind="fw.File", note="a")


def test_a_table_shows_its_first_rows_and_statistics_of_its_columns():
    frame = pd.DataFrame(
        {
            "age": np.arange(100),
            "spent": [np.nan if n % 4 == 0 else n / 2 for n in range(100)],
            "town": ["Ulm", None] * 50,
        }
    )
    found = seen(frame)
    assert dict(found.facts) == {"rows": "100", "columns": "3", "missing values": "75"}
    assert found.columns == ["age", "spent", "town"]
    assert len(found.rows) == 20
    assert found.rows[1] == ["1", "0.5", ""]
    assert found.about[1] == ["age", "int64", "0", "0", "49.5", "99"]
    assert found.about[2] == ["spent", "double", "25", "0.5", "25", "49.5"]
    assert found.about[3][2:] == ["50", "Ulm", "", "Ulm"]
    assert found.more == "80 more rows"


def test_an_index_is_no_column_of_its_table():
    frame = pd.DataFrame({"age": [1, 2], "index 0": [3, 4]}, index=pd.Index([7.0, np.nan]))
    found = seen(frame)
    assert found.facts == [
        ("rows", "2"), ("columns", "2"), ("columns of the index", "1"), ("missing values", "0"),
    ]  # fmt: skip
    assert found.columns == ["age", "index 0", "index 0"]
    assert dict(seen(frame.reset_index()).facts)["columns"] == "3"
    assert dict(seen(pd.Index([1.0, np.nan])).facts)["missing values"] == "1"


def test_a_table_without_rows_or_columns_is_shown():
    assert dict(seen(pd.DataFrame({"a": []})).facts)["rows"] == "0"
    assert seen(pd.DataFrame({"when": pd.to_datetime(["2026-01-01"]), "kind": pd.Categorical(["x"])})).rows


def test_an_array_shows_its_shape_range_and_histogram():
    found = seen(np.array([[1.0, 2.0], [np.nan, 5.0]]))
    facts = dict(found.facts)
    assert (facts["shape"], facts["type"], facts["missing or infinite"]) == ("2 × 2", "float64", "1")
    assert (facts["least"], facts["greatest"]) == ("1", "5")
    assert sum(count for _, count in found.histogram) == 3


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3)), np.array(5), np.full(4, np.inf), np.array(["a"]), np.ones(3, bool)]
)
def test_any_array_is_shown(array):
    assert "shape" in dict(seen(array).facts)


def test_plain_values_and_texts_are_shown_and_cut():
    assert json.loads(seen({"a": [1, 2]}).text) == {"a": [1, 2]}
    assert seen("<b>bold</b>").text == "<b>bold</b>"
    long = seen("x" * 30_000)
    assert (len(long.text), long.more) == (20_000, "10,000 more characters")


def test_an_evaluation_is_kept_as_one():
    evaluation = fw.evaluate([1.0, 2.0, 3.0], [1.0, 2.5, 3.0])
    assert seen(evaluation).evaluation == evaluation


def test_a_drawing_is_shown_only_if_it_only_draws():
    fine = '<svg xmlns="http://www.w3.org/2000/svg"><rect width="3" height="3"/></svg>'
    assert seen(fine).drawing.startswith("<svg")
    evil = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    assert (seen(evil).drawing, seen(evil).text) == ("", evil)
    assert look(file(fine.encode()), fine.encode()).drawing


def test_a_file_is_an_image_by_its_first_bytes_and_not_by_its_name():
    image = b"\x89PNG\r\n\x1a\n" + bytes(20)
    assert look(file(image), image).image == "image/png"
    page = b"<html><script>alert(1)</script></html>"
    found = look(file(page), page)
    assert (found.image, found.drawing, found.text) == ("", "", page.decode())
    assert look(file(b"\0\1\2"), b"\0\1\2").more == "not looked into: it is no text and no image"
    cut = "ä".encode() * 60_000
    assert look(file(cut), cut).text.startswith("ä")


def test_a_folder_is_a_list_of_files():
    files = (
        FileEntry(path="a/b.txt", digest="1" * 64, size=2048),
        FileEntry(path="c", digest="2" * 64, size=1),
    )
    content = json.dumps(
        {
            "files": [
                {"path": one.path, "digest": one.digest, "size": one.size}
                for one in Manifest(files=files).files
            ]
        }
    ).encode()
    artifact = Artifact(format="folder", digest="0" * 64, size=2049, note="data", files=True)
    found = look(artifact, content)
    assert found.rows == [["a/b.txt", "2 KiB", "1" * 12], ["c", "1 B", "2" * 12]]


@pytest.mark.parametrize("format", ["npy", "arrow", "json", "folder"])
def test_damaged_content_is_only_named(format):
    artifact = Artifact(format=format, digest="0" * 64, size=9, kind="x", files=format == "folder")
    assert look(artifact, b"\x93NUMPY...").more.startswith("not looked into")


def test_what_may_run_code_or_is_large_is_never_read():
    assert not needs_content(Artifact(format="pickle", digest="0" * 64, size=9))
    assert not needs_content(Artifact(format="npy", digest="0" * 64, size=LARGEST + 1))
    pickled = Artifact(format="pickle", digest="0" * 64, size=9, kind="Thing")
    assert "never read here" in look(pickled, b"").named


def test_the_process_that_looks_answers_one_question_after_the_other():
    asked, said = io.BytesIO(), io.BytesIO()
    for value in (np.ones(3), pd.DataFrame({"a": [1]})):
        artifact, data = stored(value)
        header = looking.msgspec.json.encode(artifact)
        asked.write(looking.LENGTHS.pack(len(header), len(data)) + header + data)
    asked.seek(0)
    assert looking.answer(asked, said)
    assert looking.answer(asked, said)
    assert not looking.answer(asked, said)
    said.seek(0)
    first = said.read(looking.LENGTH.unpack(said.read(8))[0])
    assert dict(looking.msgspec.json.decode(first, type=looking.Look).facts)["shape"] == "3"
