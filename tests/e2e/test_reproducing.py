"""A run that is made again from its record, and compared with what it was."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from projects import Project

STORY = """
@fw.task
def numbers(count: int, noise: float) -> list[float]:
    return [number + noise for number in range(count)]

@fw.task
def total(values: list[float]) -> float:
    return sum(values)

@fw.pipeline
def main(count: int = 4, noise: float = 0.0) -> float:
    return total(numbers(count, noise))
"""


def reproduced(project: Project, *words: str, expect: int) -> dict[str, object]:
    """The comparison of the newest run with its repetition."""
    return json.loads(project.fairway("reproduce", project.newest(), *words, "--json", expect=expect).stdout)


def by_step(found: dict[str, object]) -> dict[str, tuple[str, str]]:
    """Relation and cause of each step."""
    return {one["step"]: (one["same"], one["cause"]) for one in found["steps"]}  # type: ignore[union-attr,index]


def test_a_run_is_reproduced_to_the_bit_though_the_project_has_changed(project: Project) -> None:
    (project.folder / "shop").mkdir()
    project.write("RATE = 2\n", "shop/rates.py")
    project.write("", "shop/__init__.py")
    project.write(
        "from shop.rates import RATE\n@fw.task\ndef price(x: int) -> int:\n    return x * RATE\n"
        "@fw.pipeline\ndef main(x: int = 3) -> int:\n    return price(x)\n",
        "shop/flow.py",
    )
    project.fairway("run", "shop.flow")
    run = project.newest()
    project.write("RATE = 5\n", "shop/rates.py")
    done = project.fairway("reproduce", run)
    assert f"run {run} is reproduced: every result is equal to the bit" in done.stdout
    assert project.newest() == run


def test_the_new_run_is_kept_in_a_folder_that_is_named(project: Project) -> None:
    project.write(STORY)
    project.fairway("run", "project.py")
    project.fairway("reproduce", project.newest(), "-o", "again")
    assert (project.folder / "again" / "project.py").read_text() == (
        project.folder / "project.py"
    ).read_text()
    project.environment["FAIRWAY_HOME"] = str(project.folder / "again" / ".fairway")
    assert "result  6.0" in project.fairway("show").stdout
    del project.environment["FAIRWAY_HOME"]
    refused = project.fairway("reproduce", project.newest(), "-o", "again", expect=2)
    assert "is not empty" in refused.stderr


def test_a_step_with_randomness_is_named_and_the_steps_behind_it_point_to_it(project: Project) -> None:
    project.write(STORY.replace("number + noise for", "number + int.from_bytes(os.urandom(4)) for"))
    project.fairway("run", "project.py")
    found = reproduced(project, expect=1)
    assert by_step(found)["numbers"] == ("different", "randomness")
    assert by_step(found)["total"] == ("different", "input")
    assert found["same"] == "different"


def test_a_file_that_has_changed_is_told_from_randomness(project: Project) -> None:
    reading = "    return [float(open('data.txt').read())] * count"
    project.write(STORY.replace("    return [number + noise for number in range(count)]", reading))
    (project.folder / "data.txt").write_text("1.5")
    project.fairway("run", "project.py")
    assert reproduced(project, expect=0)["same"] == "equal"
    (project.folder / "data.txt").write_text("2.5")
    assert by_step(reproduced(project, expect=1))["numbers"] == ("different", "data")
    (project.folder / "data.txt").unlink()
    assert by_step(reproduced(project, expect=1))["numbers"] == ("missing", "failure")


def test_data_beside_the_source_is_found_from_the_source(project: Project) -> None:
    reading = (
        "    return [float(open(os.path.join(os.path.dirname(__file__), 'kept', 'data.txt')).read())] * count"
    )
    project.write(STORY.replace("    return [number + noise for number in range(count)]", reading))
    (project.folder / "kept").mkdir()
    (project.folder / "kept" / "data.txt").write_text("1.5")
    project.fairway("run", "project.py")
    assert reproduced(project, expect=0)["same"] == "equal"


def test_a_set_of_texts_has_the_same_order_in_every_run(project: Project) -> None:
    project.environment.pop("PYTHONHASHSEED", None)
    project.write(
        "@fw.task\ndef words() -> list[str]:\n    return list({str(number) for number in range(100)})\n"
        "@fw.pipeline\ndef main() -> list[str]:\n    return words()\n"
    )
    project.fairway("run", "project.py")
    assert reproduced(project, expect=0)["same"] == "equal"


def test_numbers_within_the_tolerance_count_as_the_same(project: Project) -> None:
    reading = "    return [number + float(open('noise.txt').read()) for number in range(count)]"
    project.write(STORY.replace("    return [number + noise for number in range(count)]", reading))
    (project.folder / "noise.txt").write_text("0.0")
    project.fairway("run", "project.py")
    (project.folder / "noise.txt").write_text("1e-9")
    found = reproduced(project, expect=0)
    assert {same for same, _ in by_step(found).values()} == {"close"}
    assert reproduced(project, "--tolerance", "1e-12", expect=1)["same"] == "different"


def test_a_change_of_packages_is_named(project: Project) -> None:
    versions = project.folder / "installed"
    (versions / "toolbox-1.0.dist-info").mkdir(parents=True)
    project.environment["PYTHONPATH"] = str(versions)
    asking = "    return [float(any('2.0' in name for name in os.listdir('installed')))] * count"
    project.write(STORY.replace("    return [number + noise for number in range(count)]", asking))
    project.fairway("run", "project.py")
    (versions / "toolbox-1.0.dist-info").rename(versions / "toolbox-2.0.dist-info")
    found = reproduced(project, "--as-is", expect=1)
    assert by_step(found)["numbers"] == ("different", "environment")
    assert "toolbox 1.0 → 2.0" in found["differences"]  # type: ignore[operator]
    project.fairway("run", "project.py")
    compared = project.fairway("compare").stdout
    assert "toolbox 1.0 → 2.0" in compared


def test_a_failed_run_is_reproduced_too(project: Project) -> None:
    project.write(STORY.replace("    return sum(values)", "    raise ValueError('no')"))
    project.fairway("run", "project.py", expect=1)
    assert reproduced(project, expect=0)["same"] == "equal"


def test_large_parameters_and_models_of_no_other_store_come_along(project: Project) -> None:
    project.write(
        "@fw.task\ndef size(text: fw.File) -> int:\n    return len(open(text).read())\n"
        "@fw.pipeline\ndef main(text: fw.File) -> int:\n    return size(text)\n"
    )
    (project.folder / "large.txt").write_text("x" * 100_000)
    project.fairway("run", "project.py", "--text", "large.txt")
    (project.folder / "large.txt").unlink()
    assert reproduced(project, expect=0)["same"] == "equal"


@pytest.mark.parametrize("template", ["supervised", "unsupervised", "reinforcement"])
def test_the_templates_are_reproduced_to_the_bit(project: Project, template: str) -> None:
    project.fairway("init", "--template", template)
    file = next(project.folder.glob("*.py")).name
    project.fairway("run", file, "--quiet")
    found = reproduced(project, expect=None)
    # The steps, with cause and part, because a difference here may not come a second time.
    assert [one for one in found["steps"] if one["same"] != "equal"] == []  # type: ignore[union-attr,index]
    assert found["same"] == "equal", found["differences"]
    assert "register" in by_step(found)
    listed = json.loads(project.fairway("models", "--json").stdout)
    assert [model["versions"] for model in listed] == [1]


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    own = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
        cwd=folder, env=own, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.strip()


def test_commit_branch_and_difference_are_on_record(project: Project) -> None:
    project.write(STORY)
    git(project.folder, "init", "-q", "-b", "trunk")
    git(project.folder, "add", "project.py")
    git(project.folder, "commit", "-qm", "first")
    commit = git(project.folder, "rev-parse", "HEAD")
    project.fairway("run", "project.py")
    assert f"git       trunk {commit[:12]}\n" in project.fairway("show").stdout
    project.write(STORY.replace("sum(values)", "sum(values) + 1"))
    project.fairway("run", "project.py")
    assert f"trunk {commit[:12]}, with changes" in project.fairway("show").stdout
    project.write(STORY.replace("sum(values)", "sum(values) + 2"))
    project.fairway("show", "--source", "-o", "then")
    assert "+    return sum(values) + 1" in (project.folder / "then" / "git.diff").read_text()
    assert "sum(values) + 1" in (project.folder / "then" / "project.py").read_text()


def test_a_difference_with_a_secret_is_not_kept(project: Project) -> None:
    project.write(STORY)
    (project.folder / "settings.ini").write_text("[main]\nlevel = 1\n")
    git(project.folder, "init", "-q")
    git(project.folder, "add", "project.py", "settings.ini")
    git(project.folder, "commit", "-qm", "first")
    (project.folder / "settings.ini").write_text("[main]\npassword = Xa8kP2mQ9vL4tR7w\n")
    project.fairway("run", "project.py")
    said = project.fairway("show", "--source", "-o", "then").stderr
    assert "is not kept: of settings.ini" in said
    assert not (project.folder / "then" / "git.diff").exists()
    found = subprocess.run(
        ["grep", "-r", "Xa8kP2mQ9vL4tR7w", ".fairway"], cwd=project.folder, capture_output=True, check=False
    )
    assert found.returncode == 1


def test_a_program_that_a_repository_names_is_not_run(project: Project) -> None:
    project.write(STORY)
    (project.folder / ".gitattributes").write_text("*.txt diff=own\n")
    (project.folder / "data.txt").write_text("1\n")
    git(project.folder, "init", "-q")
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-qm", "first")
    git(project.folder, "config", "diff.own.textconv", "touch ran-textconv; cat")
    git(project.folder, "config", "diff.external", "touch ran-external; true")
    git(project.folder, "config", "core.fsmonitor", "touch ran-monitor; true")
    (project.folder / "data.txt").write_text("2\n")
    project.fairway("run", "project.py")
    assert not list(project.folder.glob("ran-*"))
