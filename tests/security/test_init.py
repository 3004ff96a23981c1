"""`fairway init` writes a file of its own and follows no link."""

import os

import pytest
from projects import Project


@pytest.mark.parametrize("words", [(), ("--force",)], ids=["plain", "forced"])
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_init_writes_to_no_file_through_a_link(project: Project, words: tuple[str, ...], there: bool) -> None:
    target = project.folder / "elsewhere"
    if there:
        target.write_text("precious")
    (project.folder / "cancer.py").symlink_to(target)
    done = project.fairway("init", *words, expect=2)
    assert "is a link to" in done.stderr
    assert (target.read_text() if target.exists() else "") == ("precious" if there else "")


def test_a_forced_init_leaves_the_other_name_of_a_file_alone(project: Project) -> None:
    other = project.folder / "other"
    other.write_text("precious")
    os.link(other, project.folder / "cancer.py")
    project.fairway("init", "--force")
    assert other.read_text() == "precious"
    assert "fairway" in (project.folder / "cancer.py").read_text()


def test_init_leaves_nothing_but_its_file(project: Project) -> None:
    project.fairway("init")
    assert [path.name for path in project.folder.iterdir() if path.name != "home"] == ["cancer.py"]
