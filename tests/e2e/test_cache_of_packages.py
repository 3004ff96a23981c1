"""The cache and the installed packages: a step runs again for those that its code can reach, and for no other."""

import json
from pathlib import Path

import pytest
from projects import Project, steps

STORY = """
import shaping

@fw.task(cache=True)
def plain(x: int) -> int:
    return x

@fw.task(cache=True)
def shaped(x: int) -> int:
    return shaping.double(x)

@fw.task(cache=True)
def inside(x: int) -> int:
    import drawing
    return drawing.triple(x)

@fw.task(cache=True)
def anything(x) -> int:
    return x

@fw.task(cache=True)
def starting(x: int) -> int:
    return os.system("true") + x

@fw.pipeline
def main() -> int:
    found = [plain(1), shaped(1), inside(1), anything(1), starting(1)]
    return sum(map(fw.value, found))
"""


def install(
    project: Project, name: str, version: str, *requires: str, module: str = "", text: str = ""
) -> None:
    """Put a distribution into the packages of a project, in place of an earlier version."""
    packages = project.folder / "site-packages"
    for before in packages.glob(f"{name}-*.dist-info"):
        for file in before.iterdir():
            file.unlink()
        before.rmdir()
    info = packages / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Requires-Dist: {one}" for one in requires]
    info.joinpath("METADATA").write_text(
        "\n".join(["Name: " + name, f"Version: {version}", *lines, "", "About it", ""])
    )
    info.joinpath("RECORD").write_text(f"{module}.py,,\n{info.name}/METADATA,,\n" if module else "")
    if module:
        packages.joinpath(f"{module}.py").write_text(text)


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with packages of its own that has run once."""
    project.environment["PYTHONPATH"] = str(project.folder / "site-packages")
    install(
        project,
        "shaping_tools",
        "1.0",
        "numbers-of-it>=1",
        module="shaping",
        text="def double(x):\n    return 2 * x\n",
    )
    install(
        project,
        "drawing",
        "1.0",
        "frame; extra == 'fine'",
        module="drawing",
        text="def triple(x):\n    return 3 * x\n",
    )
    install(project, "numbers_of_it", "1.0", module="numbers_of_it")
    project.write(STORY)
    project.fairway("run", "project.py")
    return project


def again(project: Project) -> dict[str, str]:
    """The reason for which each step of another run ran; empty for a cached one."""
    project.fairway("run", "project.py")
    return {name: "" if step["cached"] else str(step["why"]) for name, step in steps(project).items()}


def ran(found: dict[str, str]) -> set[str]:
    return {name for name, why in found.items() if why}


def test_a_tool_that_no_step_reaches_changes_no_key_that_is_known(shop: Project) -> None:
    install(shop, "linter", "3.1", "numbers-of-it")
    found = again(shop)
    assert ran(found) == {"starting"}
    assert found["starting"] == "ran: environment changed"


def test_a_package_counts_where_code_can_reach_it_and_is_named(shop: Project) -> None:
    install(
        shop,
        "shaping_tools",
        "1.1",
        "numbers-of-it>=1",
        module="shaping",
        text="def double(x):\n    return x + x\n",
    )
    found = again(shop)
    assert ran(found) == {"shaped", "anything", "starting"}
    assert found["shaped"] == "ran: shaping_tools 1.0 became 1.1"
    explained = shop.fairway("run", "project.py", "--explain").stderr
    assert "same code, inputs and environment" in explained


def test_an_import_inside_a_function_counts(shop: Project) -> None:
    install(shop, "drawing", "2.0", module="drawing", text="def triple(x):\n    return x + x + x\n")
    found = again(shop)
    assert found["inside"] == "ran: drawing 1.0 became 2.0"
    assert "shaped" not in ran(found)


def test_what_a_reached_package_requires_counts(shop: Project) -> None:
    install(shop, "numbers_of_it", "1.5", module="numbers_of_it")
    found = again(shop)
    assert found["shaped"] == "ran: numbers_of_it 1.0 became 1.5"
    assert not {"plain", "inside"} & ran(found)


def test_what_a_reached_package_can_use_counts_when_it_comes(shop: Project) -> None:
    install(shop, "frame", "1.0", module="frame")
    assert again(shop)["inside"] == "ran: package frame is new"
    install(
        shop,
        "drawing",
        "1.0",
        "tester; extra == 'test'",
        module="drawing",
        text="def triple(x):\n    return 3 * x\n",
    )
    again(shop)
    install(shop, "tester", "1.0", module="tester")
    shop.folder.joinpath("site-packages/tester-1.0.dist-info/METADATA").write_text(
        "Name: tester\nClassifier: Topic :: Software Development :: Testing\n\n"
    )
    assert "inside" not in ran(again(shop))


@pytest.mark.parametrize(
    "line",
    [
        "import subprocess; subprocess.run(['true'])",
        "__import__('imp' + 'ortlib').import_module('shap' + 'ing')",
        "eval('1')",
        "from importlib.metadata import version",
    ],
)
def test_code_that_can_reach_anything_counts_every_package(shop: Project, line: str) -> None:
    shop.write(STORY.replace("def plain(x: int) -> int:\n", f"def plain(x: int) -> int:\n    {line}\n"))
    again(shop)
    install(shop, "linter", "3.1")
    assert again(shop)["plain"] == "ran: environment changed"


def test_a_package_without_metadata_falls_back_to_all(shop: Project) -> None:
    (shop.folder / "site-packages" / "bare.py").write_text("def work(x):\n    return x\n")
    shop.write(
        STORY.replace(
            "    import drawing\n    return drawing.triple(x)", "    import bare\n    return bare.work(x)"
        )
    )
    again(shop)
    install(shop, "linter", "3.1")
    found = again(shop)
    assert found["inside"] == "ran: environment changed"
    assert "plain" not in ran(found)


def test_an_object_of_a_package_that_no_code_names_counts_with_all(shop: Project) -> None:
    shop.write(
        "import numpy\n@fw.task\ndef made() -> numpy.ndarray:\n    return numpy.ones(3)\n"
        "@fw.task(cache=True)\ndef used(x: 'int') -> float:\n    return float(x.sum())\n"
        "@fw.task(cache=True)\ndef named(x: numpy.ndarray) -> float:\n    return float(x.sum())\n"
        "@fw.pipeline\ndef main() -> float:\n    return fw.value(used(made())) + fw.value(named(made()))\n"
    )
    again(shop)
    install(shop, "linter", "3.1")
    assert {"used", "named"} & ran(again(shop)) == {"used"}


def test_a_result_of_the_rules_before_is_one_miss_that_says_so(shop: Project) -> None:
    rules = Path(shop.folder, "older.py")
    rules.write_text(
        "import sys\nfrom fairway.plan import cachekey\ncachekey.RULES = '2'\nfrom fairway.cli.program import main\nmain()\n"
    )
    shop.write(
        STORY.replace(
            "return x\n\n@fw.task(cache=True)\ndef shaped", "return x + 1\n\n@fw.task(cache=True)\ndef shaped"
        )
    )
    import subprocess
    import sys

    subprocess.run(
        [sys.executable, str(rules), "run", "project.py"],
        cwd=shop.folder,
        env=shop.environment,
        check=True,
        timeout=240,
    )
    found = again(shop)
    assert found["plain"] == "ran: the version of Fairway's rules changed"
    assert json.loads(shop.fairway("show", "--json").stdout)["phase"] == "Succeeded"
