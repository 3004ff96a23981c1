"""A model that moves to another store as a package, and packages that somebody changed."""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
from projects import Project

TEXT = """
from sklearn.linear_model import LogisticRegression

@fw.task
def train() -> LogisticRegression:
    rows = [[float(n), float(n % 3)] for n in range(40)]
    return LogisticRegression().fit(rows, [int(n > 20) for n in range(40)])

@fw.pipeline
def main():
    fw.register("churn", train(), sample=[[1.0, 2.0], [30.0, 1.0]], alias="champion", at_least={}, description="made there")

class Odd:
    def predict(self, rows):
        return [len(row) for row in rows]

@fw.task
def odd() -> Odd:
    return Odd()

@fw.pipeline
def own():
    fw.register("odd", odd(), sample=[[1.0, 2.0]])
"""


@pytest.fixture
def exported(project: Project, tmp_path: Path) -> Path:
    """The package of a version."""
    project.write(TEXT)
    project.fairway("run", "project.py:main", "--quiet")
    project.fairway("models", "export", "churn:1", str(tmp_path / "package"))
    return tmp_path / "package"


@pytest.fixture
def other(tmp_path: Path) -> Project:
    """An empty project elsewhere."""
    (tmp_path / "other").mkdir()
    made = Project(tmp_path / "other")
    (made.folder / "pyproject.toml").write_text("")
    return made


def test_a_package_is_served_where_it_was_never_made(exported: Path, other: Project) -> None:
    digest = (exported / "package.sha256").read_text().strip()
    said = other.fairway("models", "import", str(exported), "--digest", digest).stderr
    assert "churn:1 is registered" in said
    shutil.rmtree(exported)
    shown = other.fairway("models", "show", "churn:1").stdout
    assert "made there" in shown
    assert "imported from churn:1" in shown
    assert json.loads(other.fairway("models", "--json").stdout)[0]["aliases"] == {}
    try:
        url = other.fairway("deploy", "churn:1").stdout.strip().splitlines()[-1]
        body = json.dumps(
            {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [30.0, 1.0]}]}
        )
        version = json.loads(other.fairway("models", "show", "churn:1", "--json").stdout)
        tensor = version["candidate"]["signature"]["inputs"][0]
        body = body.replace('"input"', json.dumps(tensor["name"])).replace("FP64", tensor["datatype"])
        with urllib.request.urlopen(
            urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
        ) as got:
            assert json.load(got)["outputs"][0]["data"] == [1]
    finally:
        other.fairway("down", expect=None)


def test_a_second_import_is_the_next_version(exported: Path, other: Project) -> None:
    other.fairway("models", "import", str(exported))
    other.fairway("models", "import", str(exported))
    assert [
        one["version"] for one in json.loads(other.fairway("models", "show", "churn", "--json").stdout)
    ] == [1, 2]


def test_a_package_with_a_changed_byte_is_refused(exported: Path, other: Project) -> None:
    files = [path for path in exported.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        whole = path.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1}:
            changed = bytearray(whole)
            changed[place] ^= 1
            path.write_bytes(bytes(changed))
            if place == len(whole) - 1 and path.name == "package.sha256":
                continue  # the line's end is no part of the digest
            refused(other, exported)
        path.unlink()
        refused(other, exported)
        path.write_bytes(whole)
    (exported / "content" / ("0" * 64)).write_bytes(b"added")
    refused(other, exported)
    (exported / "content" / ("0" * 64)).unlink()
    (exported / "more").write_bytes(b"")
    refused(other, exported)


def refused(other: Project, package: Path) -> None:
    from fairway.engine import packages
    from fairway.spec.errors import FairwayError

    with pytest.raises(FairwayError):
        packages.read(package)
    assert not (other.folder / ".fairway" / "fairway.db").exists()


def test_another_package_than_the_one_that_was_asked_for_is_refused(exported: Path, other: Project) -> None:
    assert (
        "another package"
        in other.fairway("models", "import", str(exported), "--digest", "0" * 64, expect=None).stderr
    )


def test_a_model_that_runs_code_of_its_own_is_not_taken(
    project: Project, other: Project, tmp_path: Path
) -> None:
    project.write(TEXT)
    project.fairway("run", "project.py:own", "--quiet")
    project.fairway("models", "export", "odd", str(tmp_path / "odd"))
    assert "can run code" in other.fairway("models", "import", str(tmp_path / "odd"), expect=5).stderr


def test_a_folder_that_is_no_package_is_refused(other: Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no package" in other.fairway("models", "import", str(tmp_path / "empty"), expect=2).stderr
