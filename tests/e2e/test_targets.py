"""Targets on the command line: they are named, chosen and forgotten, and every command finds the one that is meant."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from standin import ApiServer


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path / "cluster") as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, cluster: ApiServer) -> Project:
    """A project of a user whose kubeconfig leads to a cluster."""
    folder = tmp_path / "shop"
    folder.mkdir()
    made = Project(folder)
    made.environment |= {"KUBECONFIG": str(cluster.kubeconfig), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    return made


def test_a_target_keeps_the_context_that_was_current(
    project: Project, cluster: ApiServer, tmp_path: Path
) -> None:
    before = cluster.kubeconfig.read_bytes()
    told = project.fairway("target", "add", "team").stderr
    assert "team is namespace ml of context lab" in told
    listed = json.loads(project.fairway("targets", "--json").stdout)
    assert listed["targets"] == [{"name": "team", "context": "lab", "namespace": "ml"}]
    kept = tmp_path / "config" / "fairway" / "targets.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert cluster.kubeconfig.read_bytes() == before
    project.fairway("target", "remove", "team")
    assert json.loads(project.fairway("targets", "--json").stdout)["targets"] == []


def test_a_context_that_is_not_there_is_refused_when_the_target_is_added(project: Project) -> None:
    told = project.fairway("target", "add", "team", "--context", "nowhere", expect=2).stderr
    assert "there is no context 'nowhere'" in told
    assert "hint: " in told


@pytest.mark.parametrize("name", ["local", "a b", "-", "x" * 64])
def test_a_name_that_cannot_be_typed_is_refused(project: Project, name: str) -> None:
    assert "cannot be the name of a target" in project.fairway("target", "add", "--", name, expect=2).stderr


def test_an_unknown_target_is_told_with_the_known_ones(project: Project) -> None:
    project.fairway("target", "add", "team")
    told = project.fairway("runs", "--target", "tema", expect=4).stderr
    assert "there is no target 'tema'; known are local, team" in told
    assert "`fairway target add tema`" in told


def test_the_command_line_wins_over_the_variable_and_that_over_the_project(
    project: Project, cluster: ApiServer
) -> None:
    project.fairway("target", "add", "team")
    project.write("", "pyproject.toml")
    (project.folder / "pyproject.toml").write_text('[tool.fairway]\ntarget = "team"\n')

    def asks_the_cluster(*words: str) -> bool:
        before = len(cluster.plane.asked)
        project.fairway("runs", *words)
        return len(cluster.plane.asked) > before

    assert asks_the_cluster()
    assert not asks_the_cluster("--target", "local")
    project.environment["FAIRWAY_TARGET"] = "local"
    assert not asks_the_cluster()
    assert asks_the_cluster("--target", "team")


def test_a_target_of_the_project_that_nobody_added_here_is_told_with_its_place(project: Project) -> None:
    (project.folder / "pyproject.toml").write_text('[tool.fairway]\ntarget = "team"\n')
    told = project.fairway("runs", expect=4).stderr
    assert f"which {project.folder}/pyproject.toml names" in told
    assert "--target local" in told
    assert "note: " in project.fairway("targets").stderr


def test_a_project_with_a_target_of_its_own_is_not_imported_here(
    project: Project, cluster: ApiServer
) -> None:
    project.fairway("target", "add", "team")
    (project.folder / "pyproject.toml").write_text('[tool.fairway]\ntarget = "team"\n')
    project.write("open('imported', 'w')\n")
    cluster.installed = False
    told = project.fairway("run", "project.py", expect=4).stderr
    assert "Fairway is not installed in namespace ml" in told
    assert not (project.folder / "imported").exists()


def test_questions_about_a_target_leave_no_store_here(project: Project) -> None:
    project.fairway("target", "add", "team")
    for words in (["runs"], ["models"]):
        assert project.fairway(*words, "--target", "team", "--json").stdout == "[]\n"
    assert "no runs yet in team" in project.fairway("runs", "--target", "team").stderr
    assert os.listdir(project.folder) == []
