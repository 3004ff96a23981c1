"""Forms as clients send them, and file names that a client chose."""

from pathlib import Path

import pytest

from fairway.server.answers import Refusal
from fairway.server.uploads import Scratch, parts

KIND = b"multipart/form-data; boundary=edge"
HEAD = b'--edge\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n'


def test_a_part_may_hold_anything_but_its_boundary() -> None:
    content = b"\r\n--edg\r\n--\x00\xff"
    (part,) = parts(HEAD + content + b"\r\n--edge--\r\n", KIND)
    assert (part.field, part.filename, bytes(part.content)) == ("a", "f", content)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        HEAD + b"x",
        HEAD + b"x\r\n--edge",
        b"--edge\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--edge--\r\n",
        HEAD[:-2] + b"Content-Transfer-Encoding: base64\r\n\r\nx\r\n--edge--\r\n",
    ],
)
def test_a_form_that_is_cut_short_or_odd_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parts(body, KIND)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.csv", "y.csv"),
        ("..", "file"),
        ("", "file"),
        ("a\x00\nb", "a__b"),
        (".hidden ", "hidden"),
        ("é" * 300 + ".csv", "é" * 54 + ".csv"),
    ],
)
def test_a_file_stays_in_its_folder_whatever_its_name(tmp_path: Path, name: str, kept: str) -> None:
    scratch = Scratch(tmp_path)
    path = scratch.write(name, bytearray(b"x"))
    assert (path.name, path.parents[2]) == (kept, tmp_path)
    scratch.remove()
    assert list(tmp_path.iterdir()) == []
