"""The templates, unchanged, on a cluster: what they register there is what they register here."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.kubectl import Kubectl, make_user

TARGET = "team"


class Team:
    """The command line of a person who installed Fairway in a namespace."""

    def __init__(self, home: Path, kubeconfig: Path) -> None:
        self.home = home
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FAIRWAY_", "XDG_"))},
            "HOME": str(home), "KUBECONFIG": str(kubeconfig), "CI": "1",
            # Only the packages' files are shared with the real home, which saves fetching them again.
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache/uv"),
        }  # fmt: skip

    def run(self, folder: Path, *words: str, seconds: float = 500) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder, which has to succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            cwd=folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def team(
    make_namespace: Callable[..., str],
    kubectl: Kubectl,
    registry: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Team]:
    """A person whose namespace has Fairway, which came there by one command."""
    home, namespace = tmp_path_factory.mktemp("team"), make_namespace()
    found = Team(home, make_user(kubectl, home, "admin", namespace))
    base = os.environ.get("FAIRWAY_LAB_BASE", f"{registry}/python:3.11")
    words = ("--registry", f"{registry}/fairway-test", "--insecure", "--base", base, "--python", "3.11")
    found.run(home, "install", *words)
    found.run(home, "target", "add", TARGET)
    yield found
    found.run(home, "uninstall", "--yes", seconds=120)
    left = kubectl.inside(namespace)(
        "get", "all,pvc,networkpolicy", "-l", "app.kubernetes.io/name", "-o", "name"
    )
    assert left.strip() == ""


def registered(team: Team, folder: Path, name: str, *words: str) -> dict[str, object]:
    """Return the model that the last run registered, as far as the same steps always give the same."""
    newest = json.loads(team.run(folder, "models", "show", name, "--json", *words).stdout)[-1]
    candidate = newest["candidate"]
    return {
        "name": newest["name"],
        "content": candidate["artifact"]["digest"],
        "metrics": candidate["evaluation"]["metrics"],
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "template",
    [
        "supervised",
        pytest.param("unsupervised", marks=pytest.mark.thorough),
        pytest.param("reinforcement", marks=pytest.mark.thorough),
    ],
)
def test_a_template_registers_there_what_it_registers_here(team: Team, tmp_path: Path, template: str) -> None:
    team.run(tmp_path, "init", "--template", template)
    (file,) = tmp_path.glob("*.py")
    before = file.read_bytes()
    team.run(tmp_path, "run", file.name)
    there = team.run(tmp_path, "run", file.name, "--target", TARGET)
    assert re.search(r"^Done in ", there.stderr, re.MULTILINE)
    assert file.read_bytes() == before
    (model,) = json.loads(team.run(tmp_path, "models", "--json").stdout)
    here = registered(team, tmp_path, model["name"])
    assert registered(team, tmp_path, model["name"], "--target", TARGET) == here


@pytest.mark.thorough
def test_a_second_project_with_the_same_packages_sends_no_package(team: Team, tmp_path: Path) -> None:
    team.run(tmp_path, "init", "--template", "supervised")
    told = team.run(tmp_path, "run", "cancer.py", "--target", TARGET).stderr
    assert "sent," not in told.replace("uploaded", "")
