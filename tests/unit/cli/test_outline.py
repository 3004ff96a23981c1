"""The outline of a project file, read without running it."""

from pathlib import Path

from fairway.cli import outline


def read(folder: Path, text: str) -> outline.Outline:
    path = folder / "project.py"
    path.write_text(text, "utf-8")
    return outline.read(path)


def test_pipelines_are_found_with_their_flags(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "import fairway as fw\nfrom typing import Literal\n"
        "@fw.pipeline(name='other')\ndef one(kind: Literal['a', 'b'], fast: bool = False, *, rate: float = 1.0): ...\n"
        "@fw.endpoint\nclass Greeter: ...\n",
    )
    flags = found.pipelines["other"]
    assert [flag.name for flag in flags] == ["kind", "fast", "rate"]
    assert flags[0].choices == ("a", "b")
    assert [flag.is_bool for flag in flags] == [False, True, False]
    assert found.endpoints == ("Greeter",)


def test_a_file_that_is_no_project_has_an_empty_outline(tmp_path: Path) -> None:
    assert not read(tmp_path, "def broken(:  # fairway\n").is_project
    assert not read(tmp_path, "import fairway as fw\nx = 1\n").is_project
    assert not outline.read(tmp_path / "missing.py").is_project
    assert not outline.read(tmp_path).is_project
