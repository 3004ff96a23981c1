"""The form that starts a run opens at once for a project that did not change, and never shows an old one."""

from pathlib import Path

import pytest
from page_clicks import Person
from projects import Project

PIPELINE = """
import fairway as fw

with open("{imports}", "a") as file:
    file.write("imported\\n")

@fw.pipeline
def flow(epochs: int = {epochs}) -> int:
    return epochs
"""


@pytest.fixture
def imports(tmp_path: Path) -> Path:
    """A file outside the project that gets a line with each import."""
    path = tmp_path / "imports"
    path.write_text("")
    return path


def test_a_project_is_imported_again_only_after_a_change(tmp_path: Path, imports: Path) -> None:
    project = Project(tmp_path / "project")
    project.folder.mkdir()
    project.write(PIPELINE.format(imports=imports, epochs=5), "flow.py")
    project.fairway("up")
    try:
        assert 'value="5"' in opened(project)
        assert 'value="5"' in opened(project)
        project.fairway("down")
        project.fairway("up")
        assert 'value="5"' in opened(project)
        assert imports.read_text().count("imported") == 1
        project.write(PIPELINE.format(imports=imports, epochs=7), "flow.py")
        assert 'value="7"' in opened(project)
        assert imports.read_text().count("imported") == 2
        (project.folder / "more.py").write_text("")
        opened(project)
        assert imports.read_text().count("imported") == 3
    finally:
        project.fairway("down")


def opened(project: Project) -> str:
    """Return the form of the pipeline as a new visitor gets it."""
    person = Person(project.folder / ".fairway")
    try:
        return person.open("/new?file=flow.py").html
    finally:
        person.client.close()
