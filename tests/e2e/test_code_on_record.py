"""Which code a run worked with: kept by digest, printed, compared when the run is resumed, and left alone by gc."""

import json
import subprocess
import sys

from projects import Project

FLOW = """
import shop_features

@fw.task
def ratio(x: int) -> float:
    return shop_features.ratio(x)

@fw.pipeline
def main(x: int = 1) -> float:
    return ratio(x)
"""
FEATURES = "def ratio(x):\n    return {}\n"


def shown(project: Project, *words: str) -> dict[str, str | None]:
    """The source files of a run as `show --source` prints them."""
    return json.loads(project.fairway("show", *words, "--source", "--json").stdout)


def test_a_run_keeps_the_code_it_worked_with(project: Project) -> None:
    project.write(FLOW)
    project.write(FEATURES.format("x / 2"), "shop_features.py")
    project.fairway("run", "project.py")
    first = project.newest()
    project.write(FEATURES.format("x / 3"), "shop_features.py")
    project.fairway("run", "project.py")
    assert "x / 2" in (shown(project, first)["shop_features.py"] or "")
    assert "x / 3" in (shown(project)["shop_features.py"] or "")
    assert shown(project)["project.py"] == shown(project, first)["project.py"]
    printed = project.fairway("show", first, "--source").stdout
    assert "# project.py\n" in printed
    assert "    return x / 2\n" in printed
    assert "code" in project.fairway("compare", first, project.newest()).stdout


def test_the_same_code_is_the_same_digest(project: Project) -> None:
    project.write(FLOW)
    project.write(FEATURES.format("x"), "shop_features.py")
    codes = set[str]()
    for _ in range(2):
        project.fairway("run", "project.py")
        codes.add(json.loads(project.fairway("show", "--json").stdout)["spec"]["code"])
    assert len(codes) == 1
    assert len(codes.pop()) == 64


def test_a_run_that_is_resumed_with_other_code_says_so_and_keeps_both(project: Project) -> None:
    project.write(FLOW)
    project.write(FEATURES.format("x / 0"), "shop_features.py")
    project.fairway("run", "project.py", expect=1)
    assert "changed since" not in project.fairway("resume", expect=1).stderr
    project.write(FEATURES.format("x / 4"), "shop_features.py")
    assert "changed since the run worked last: shop_features.py" in project.fairway("resume").stderr
    status = json.loads(project.fairway("show", "--json").stdout)
    assert status["code"] != status["spec"]["code"]
    assert f"{status['spec']['code'][:16]}, then {status['code'][:16]}" in project.fairway("show").stdout
    assert "x / 4" in (shown(project)["shop_features.py"] or "")


def test_gc_keeps_the_code_of_runs(project: Project) -> None:
    project.write(FLOW)
    project.write(FEATURES.format("x / 0"), "shop_features.py")
    project.fairway("run", "project.py", expect=1)
    project.write(FEATURES.format("x"), "shop_features.py")
    project.fairway("resume")
    project.fairway("gc", "--delete", "--older-than", "0")
    assert None not in shown(project).values()
    first = json.loads(project.fairway("show", "--json").stdout)["spec"]["code"]
    blobs = project.folder / ".fairway" / "blobs"
    assert (blobs / first[:2] / first).is_file()


def test_a_file_with_a_secret_in_it_is_not_kept(project: Project) -> None:
    project.environment["SHOP_TOKEN"] = "correct-horse-battery"
    project.write(FLOW)
    project.write(FEATURES.format("x") + "KEY = 'correct-horse-battery'\n", "shop_features.py")
    project.fairway("run", "project.py")
    assert shown(project)["shop_features.py"] is None
    kept = [path for path in (project.folder / ".fairway").rglob("*") if path.is_file()]
    assert not any(b"correct-horse-battery" in path.read_bytes() for path in kept)


def test_a_run_of_a_pipeline_without_a_file_has_no_code_to_show(project: Project) -> None:
    words = [
        sys.executable,
        "-c",
        "import fairway as fw\ndef main():\n    return 1\nfw.run(fw.pipeline(main))",
    ]
    subprocess.run(words, cwd=project.folder, env=project.environment, timeout=240, check=True)
    assert "no source files on record" in project.fairway("show", "--source", expect=4).stderr
