"""Descriptions of projects are used again exactly while nothing changes that an import may depend on."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from fairway.local import digests
from fairway.local.descriptions import Descriptions
from fairway.spec.project import PipelineSpec, ProjectSpec, SourceFile
from fairway.spec.run import RunRequest


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / ".fairway").mkdir(parents=True, mode=0o700)
    (folder / "flow.py").write_text("import parts")
    (folder / "parts.py").write_text("SIZE = 1")
    return folder


@pytest.fixture
def descriptions(tmp_path: Path, project: Path) -> Descriptions:
    return Descriptions(tmp_path / "project" / ".fairway", project, str(tmp_path / "cache" / "digests.json"))


def request(project: Path, **more) -> RunRequest:
    return RunRequest(**{"file": str(project / "flow.py"), "folder": str(project), **more})


def described(project: Path, *files: str) -> ProjectSpec:
    found = [(name, (project / name).read_bytes()) for name in files]
    sources = tuple(
        SourceFile(
            path=name,
            place=str(project / name),
            digest=hashlib.sha256(content).hexdigest(),
            size=len(content),
        )
        for name, content in found
    )
    pipelines = (PipelineSpec(name="flow"),)
    return ProjectSpec(path=str(project / "flow.py"), name="flow", files=sources, pipelines=pipelines)


def test_what_was_kept_is_there_also_for_a_later_process(
    descriptions: Descriptions, project: Path, tmp_path: Path
) -> None:
    mark = descriptions.mark(request(project))
    assert descriptions.kept(mark) is None
    descriptions.keep(mark, described(project, "flow.py"))
    later = Descriptions(tmp_path / "project" / ".fairway", project, str(tmp_path / "cache" / "digests.json"))
    assert later.kept(later.mark(request(project))) == described(project, "flow.py")


def test_a_change_of_any_file_or_name_or_of_the_environment_is_noticed(
    descriptions: Descriptions, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [descriptions.mark(request(project))]
    (project / "parts.py").write_text("SIZE = 2")
    marks.append(descriptions.mark(request(project)))
    (project / "numpy.py").write_text("")
    marks.append(descriptions.mark(request(project)))
    os.rename(project / "numpy.py", project / "other.py")
    marks.append(descriptions.mark(request(project)))
    (project / "data.csv").write_bytes(bytes(2**20 + 1))
    marks.append(descriptions.mark(request(project)))
    os.utime(project / "data.csv", (1, 1))
    marks.append(descriptions.mark(request(project)))
    monkeypatch.setenv("SIZE", "3")
    marks.append(descriptions.mark(request(project)))
    marks.append(descriptions.mark(request(project, module="flows")))
    assert len(set(marks)) == len(marks)


def test_an_imported_file_that_git_ignores_is_noticed_when_it_changes(
    descriptions: Descriptions, project: Path
) -> None:
    (project / ".gitignore").write_text("here.py")
    (project / "here.py").write_text("GPUS = 1")
    mark = descriptions.mark(request(project))
    descriptions.keep(mark, described(project, "flow.py", "here.py"))
    assert descriptions.kept(mark) is not None
    (project / "here.py").write_text("GPUS = 2")
    assert mark == descriptions.mark(request(project))
    assert descriptions.kept(mark) is None


def test_only_changed_files_are_read_again(
    descriptions: Descriptions, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED", 0)  # a file counts as settled once it is older than now
    read: list[str] = []
    file_digest = hashlib.file_digest

    def reading(stream: Any, name: str) -> Any:
        read.append(os.path.basename(os.readlink(f"/proc/self/fd/{stream.fileno()}")))
        return file_digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", reading)
    first = descriptions.mark(request(project))
    assert sorted(read) == ["flow.py", "parts.py"]
    read.clear()
    assert descriptions.mark(request(project)) == first
    assert read == []
    (project / "parts.py").write_text("SIZE = 2")
    assert descriptions.mark(request(project)) != first
    assert read == ["parts.py"]


def test_a_named_pipe_among_the_files_is_not_waited_for(descriptions: Descriptions, project: Path) -> None:
    os.mkfifo(project / "pipe.py")
    assert descriptions.mark(request(project))
    waiting = SourceFile(path="pipe.py", place=str(project / "pipe.py"), digest="0" * 64, size=1)
    mark = descriptions.mark(request(project))
    descriptions.keep(mark, ProjectSpec(path="flow.py", name="flow", files=(waiting,)))
    assert descriptions.kept(mark) is None


@pytest.mark.parametrize(
    "more", [{"file": ""}, {"bundle": "0" * 64}, {"pickled": "x"}, {"file": "/etc/x.py"}]
)
def test_what_is_no_file_of_the_project_is_not_kept(
    descriptions: Descriptions, project: Path, more: dict[str, str]
) -> None:
    mark = descriptions.mark(request(project, **more))
    descriptions.keep(mark, described(project, "flow.py"))
    assert mark == ""
    assert descriptions.kept(mark) is None


def test_the_newest_descriptions_are_kept_and_damaged_ones_are_none(
    descriptions: Descriptions, project: Path
) -> None:
    for place in range(30):
        descriptions.keep(f"{place:064}"[::-1], described(project, "flow.py"))
    folder = project / ".fairway" / "platform" / "described"
    assert len(list(folder.iterdir())) == 20
    mark = descriptions.mark(request(project))
    descriptions.keep(mark, described(project, "flow.py"))
    (folder / f"{mark[:32]}.json").write_bytes(b"[")
    assert descriptions.kept(mark) is None


def test_a_link_in_the_place_of_a_description_is_not_followed(
    descriptions: Descriptions, project: Path, tmp_path: Path
) -> None:
    mark = descriptions.mark(request(project))
    descriptions.keep(mark, described(project, "flow.py"))
    kept = project / ".fairway" / "platform" / "described" / f"{mark[:32]}.json"
    os.rename(kept, tmp_path / "elsewhere.json")
    os.symlink(tmp_path / "elsewhere.json", kept)
    assert descriptions.kept(mark) is None
