"""Pipelines inside packages, by every way in which people start them, and where the store of a project lies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project

STEPS = """
import fairway as fw

from .sizes import Size, double

@fw.task(cache=True)
def load(rows: int) -> Size:
    print("module", __name__)
    return Size(double(rows))

@fw.task
def weigh(size: Size) -> int:
    assert isinstance(size, Size), type(size).__module__
    return size.rows
"""
SIZES = """
from dataclasses import dataclass

@dataclass
class Size:
    rows: int

def double(rows):
    return 2 * rows
"""
FLOW = """
import fairway as fw
from shop.steps import load, weigh

@fw.pipeline
def shop(rows: int = 3) -> int:
    return fw.value(weigh(load(rows)))

if __name__ == "__main__":
    print("result", fw.run(shop, rows=4).result)
"""
TEST = """
import fairway as fw
import shop.flow
from shop.sizes import Size

def test_run():
    run = fw.run(shop.flow.shop, rows=5)
    assert run.result == 10, run
"""


class Package(Project):
    """A project whose files lie in a package."""

    def command(self, *words: str) -> list[str]:
        """The installed command: `python -m` would look for modules in the working directory too."""
        return [str(Path(sys.executable).parent / "fairway"), *words]

    def fill(self, top: str = ".", *, regular: bool = True) -> Path:
        """Write the package `shop` into the folder `top`."""
        package = self.folder / top / "shop"
        package.mkdir(parents=True)
        for name, text in (("steps", STEPS), ("sizes", SIZES), ("flow", FLOW)):
            (package / f"{name}.py").write_text(text)
        if regular:
            (package / "__init__.py").touch()
        return package

    def python(self, *words: str, folder: str = ".", path: str = "") -> str:
        """Run Python in a folder of the project; returns what it printed."""
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder / folder,
            env=self.environment | ({"PYTHONPATH": path} if path else {}),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def result(self, *words: str, folder: str = ".") -> dict[str, object]:
        """Run a pipeline from a folder of the project, as a record."""
        done = self.at(folder, "run", *words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def at(self, folder: str | Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder of the project, or in one named from the root."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder / folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    def stores(self) -> list[str]:
        """Where in the project there is a store."""
        return sorted(str(path.parent.relative_to(self.folder)) for path in self.folder.rglob(".fairway"))


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


def phases(record: dict[str, object]) -> list[str]:
    steps = record["steps"]
    assert isinstance(steps, list)
    return ["Cached" if step["cached"] else step["phase"] for step in steps]


@pytest.mark.parametrize("regular", [True, False])
def test_a_package_runs_by_file_and_by_name_from_anywhere_as_the_same_project(
    package: Package, *, regular: bool
) -> None:
    package.fill(regular=regular)
    assert phases(package.result("shop/flow.py")) == ["Succeeded", "Succeeded"]
    for word, folder in (
        ("shop/flow.py:shop", "."),
        ("shop.flow", "."),
        ("shop.flow:shop", "."),
        ("flow.py", "shop"),
        ("shop.flow", "shop"),
        (str(package.folder / "shop/flow.py"), "/"),
    ):
        record = package.result(word, folder=folder)
        assert phases(record) == ["Cached", "Succeeded"], (word, folder)
    assert package.stores() == ["."]
    assert "module shop.steps" in package.fairway("logs", json.loads(
        package.fairway("runs", "--json").stdout)[-1]["name"]).stdout  # fmt: skip
    assert "load" in package.fairway("plan", "shop.flow:shop").stdout


def test_a_pipeline_of_a_package_runs_from_pytest_a_script_and_another_folder(package: Package) -> None:
    package.fill()
    (package.folder / "tests").mkdir()
    (package.folder / "tests" / "test_shop.py").write_text(TEST)
    (package.folder / "script.py").write_text(
        "import fairway as fw\nfrom shop.flow import shop\nif __name__ == '__main__': print(fw.run(shop).result)\n"
    )
    top = str(package.folder)
    assert "1 passed" in package.python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", folder="tests", path=top
    )
    assert package.python("script.py") == "6\n"
    other = "import fairway as fw, shop.flow; print(fw.run(shop.flow.shop, rows=1).result)"
    assert package.python("-c", other, folder="/", path=top) == "2\n"
    assert package.python("-m", "shop.flow") == "result 8\n"
    assert package.python("shop/flow.py", path=top) == "result 8\n"
    assert package.stores() == ["."]
    (newest, *_) = json.loads(package.fairway("runs", "--json").stdout)
    assert newest["pipeline"] == "shop"


def test_a_project_below_src_has_its_store_at_its_pyproject(package: Package) -> None:
    package.fill("src")
    (package.folder / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    assert phases(package.result("src/shop/flow.py")) == ["Succeeded", "Succeeded"]
    assert phases(package.result("shop.flow")) == ["Cached", "Succeeded"]
    assert phases(package.result("shop.flow", folder="src/shop")) == ["Cached", "Succeeded"]
    (package.folder / "notes").mkdir()
    assert len(package.at("notes", "runs").stdout.splitlines()) == 4, "also from a folder beside it"
    assert package.stores() == ["."]


def test_a_package_that_is_installed_to_be_edited_runs_by_name(package: Package, tmp_path: Path) -> None:
    package.fill("code/src")
    (package.folder / "code/pyproject.toml").write_text("[project]\nname = 'shop'\n")
    (package.folder / "elsewhere").mkdir()
    package.environment["PYTHONPATH"] = str(
        package.folder / "code/src"
    )  # as the file of an editable install does
    assert phases(package.result("shop.flow", folder="elsewhere")) == ["Succeeded", "Succeeded"]
    assert package.stores() == ["code"]


def test_links_lead_to_the_project_that_they_point_to(package: Package) -> None:
    package.fill("real")
    (package.folder / "linked").symlink_to("real")
    (package.folder / "flow.py").symlink_to("real/shop/flow.py")
    for word in ("linked/shop/flow.py", "flow.py", "real/shop/flow.py"):
        assert package.result(word)["phase"] == "Succeeded", word
    assert package.result("shop.flow", folder="linked")["phase"] == "Succeeded"
    assert package.stores() == ["real"]


def test_a_stopped_run_of_a_package_is_resumed_by_its_name(package: Package) -> None:
    folder = package.fill(regular=False)
    (folder / "sizes.py").write_text(SIZES.replace("return 2", "raise ValueError\n    return 2"))
    assert package.at(".", "run", "shop.flow").returncode == 1
    (folder / "sizes.py").write_text(SIZES)
    package.folder.joinpath("shop").rename(package.folder / "moved")
    package.folder.joinpath("moved").rename(package.folder / "shop")
    done = package.at("shop", "resume")
    assert done.returncode == 0, done.stderr


def test_a_file_keeps_modules_beside_it_although_its_folder_is_a_package(package: Package) -> None:
    package.write("from tools import two\n@fw.pipeline\ndef p() -> int:\n    return two()\n")
    (package.folder / "tools.py").write_text("def two():\n    return 2\n")
    (package.folder / "__init__.py").touch()
    assert package.result("project.py")["phase"] == "Succeeded"
    assert package.stores() == ["."]


def test_a_script_in_a_folder_of_its_own_finds_the_package_of_its_project(package: Package) -> None:
    package.fill("src")
    (package.folder / "pyproject.toml").touch()
    (package.folder / "scripts").mkdir()
    (package.folder / "scripts" / "go.py").write_text(
        "import fairway as fw\nfrom shop.steps import load, weigh\n"
        "@fw.pipeline\ndef go() -> int:\n    return fw.value(weigh(load(1)))\n"
    )
    assert phases(package.result("scripts/go.py")) == ["Succeeded", "Succeeded"]


def test_a_main_file_of_a_package_and_its_init_run(package: Package) -> None:
    folder = package.fill()
    (folder / "__main__.py").write_text(FLOW)
    assert package.result("shop")["phase"] == "Succeeded"
    assert package.result("shop/__main__.py")["phase"] == "Succeeded"
    assert package.python("-m", "shop") == "result 8\n"
    (folder / "__main__.py").unlink()
    (folder / "__init__.py").write_text(FLOW)
    assert package.result("shop")["phase"] == "Succeeded"
    assert package.result("shop/__init__.py")["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("from shop.steps", "from shop.stepz"), "`shop.steps`"),
        (("from shop.steps", "from .stepz"), "`shop.steps`"),
        (("from shop.steps", "from shopp.steps"), "`shop`"),
        (("from shop.steps", "from shop.gone"), "it has flow, sizes, steps"),
        (("import fairway as fw", "import fairway as fw\nimport helpers"), "put `helpers.py` there"),
    ],
)
def test_a_missing_module_of_the_project_is_never_to_be_installed(
    package: Package, change: tuple[str, str], said: str
) -> None:
    folder = package.fill()
    (folder / "flow.py").write_text(FLOW.replace(*change))
    told = package.at(".", "run", "shop/flow.py").stderr
    assert said in told, told
    assert "pip install" not in told


def test_a_library_that_is_missing_is_installed_by_its_own_name(package: Package) -> None:
    package.write("import cv2\n")
    assert "`pip install opencv-python`" in package.fairway("run", "project.py", expect=None).stderr
    package.write("import lone_library\n")
    (package.folder / "requirements.txt").write_text("lone-library>=2\n")
    assert "`pip install lone_library`" in package.fairway("run", "project.py", expect=None).stderr


@pytest.mark.parametrize("name", ["numpy", "random", "types", "json", "fairway"])
def test_a_file_with_the_name_of_a_library_is_told_apart_from_it(package: Package, name: str) -> None:
    package.write("@fw.pipeline\ndef p():\n    pass\n", f"{name}.py")
    told = package.at(".", "run", f"{name}.py")
    assert told.returncode
    assert "another name" in told.stderr, told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("numpy", "import pandas"),
        ("types", "from types import mine"),
        ("random", "import random; random.mine"),
    ],
)
def test_a_file_beside_the_project_with_the_name_of_a_library_is_named(
    package: Package, name: str, use: str
) -> None:
    (package.folder / f"{name}.py").touch()
    package.write(f"{use}\n@fw.pipeline\ndef p():\n    pass\n")
    told = package.at(".", "run", "project.py").stderr
    assert f"{name}.py has the name of the library" in told, told


def test_what_is_no_project_file_is_refused_with_what_to_do(package: Package) -> None:
    folder = package.fill()
    (package.folder / "book.ipynb").touch()
    (package.folder / "shop" / "numpy").mkdir()
    for word, said in (
        ("book.ipynb", "is a notebook"),
        ("shop", "`shop/flow.py`"),
        ("shop/flow", "`shop/flow.py`"),
        ("shop.float", "no file shop.float"),
        ("flow.py", "there is no file flow.py"),
    ):
        told = package.at(".", "run", word)
        assert told.returncode == 4 or told.returncode == 2, told.stderr
        assert said in told.stderr, told.stderr
        assert "hint: " in told.stderr
    (folder / "01_train.py").touch()
    assert "_01_train.py" in package.at(".", "run", "shop/01_train.py").stderr
    assert package.stores() in ([], ["."])


def test_commands_without_a_file_say_which_store_they_look_into(package: Package) -> None:
    package.write("@fw.pipeline\ndef p() -> int:\n    return 1\n")
    (package.folder / "inner").mkdir()
    (package.folder / "project.py").rename(package.folder / "inner" / "project.py")
    assert package.at(".", "run", "inner/project.py").returncode == 0
    assert package.stores() == ["inner"]
    for words in (("runs",), ("show",), ("resume",)):
        told = package.at(".", *words).stderr
        assert str(package.folder / ".fairway") in told, told
        assert "`cd inner`" in told, told


def test_a_store_that_was_made_where_the_command_was_typed_is_still_used(package: Package) -> None:
    package.fill("code")
    package.environment["FAIRWAY_HOME"] = ".fairway"  # as if it had been made by an earlier version
    assert package.result("code/shop/flow.py")["phase"] == "Succeeded"
    del package.environment["FAIRWAY_HOME"]
    assert phases(package.result("code/shop/flow.py")) == ["Cached", "Succeeded"]
    assert package.stores() == ["."]


def test_an_endpoint_of_a_package_answers_with_the_modules_of_its_copy(package: Package) -> None:
    folder = package.fill("src")
    (folder / "serve.py").write_text(
        "import fairway as fw\nfrom shop.sizes import double\nfrom . import sizes\n"
        "@fw.endpoint\ndef twice(rows: int) -> int:\n    return sizes.double(double(rows))\n"
    )
    (package.folder / "pyproject.toml").touch()
    try:
        done = package.at("src", "deploy", "shop.serve:twice", "--replicas", "1")
        assert done.returncode == 0, done.stderr
        asked = (
            "import sys, urllib.request as u; r = u.Request(sys.argv[1], b'3', {'content-type': 'application/json'}); "
            "print(u.urlopen(r).read().decode())"
        )
        assert package.python("-c", asked, done.stdout.strip()) == "12\n"
        assert package.at("/", "deploy", str(folder / "serve.py"), "--replicas", "1").returncode == 0
    finally:
        package.at(".", "down")
    assert package.stores() == ["."]


@pytest.mark.parametrize("regular", [True, False])
def test_a_change_in_a_module_that_a_task_imports_itself_runs_the_task_again(
    package: Package, *, regular: bool
) -> None:
    folder = package.fill(regular=regular)
    (folder / "late.py").write_text("RATE = 1\n")
    (folder / "flow.py").write_text(
        "import fairway as fw\nfrom shop import sizes\n"
        "@fw.task(cache=True)\ndef late() -> int:\n    from shop import late\n    return late.RATE\n"
        "@fw.pipeline\ndef shop() -> int:\n    return late()\n"
    )
    assert phases(package.result("shop/flow.py")) == ["Succeeded"]
    assert phases(package.result("shop.flow")) == ["Cached"]
    (folder / "late.py").write_text("RATE = 2\n")
    assert phases(package.result("shop.flow")) == ["Succeeded"]


def test_a_step_that_meets_a_file_with_a_library_s_name_says_so(package: Package) -> None:
    (package.folder / "colorsys.py").touch()
    package.write(
        "import colorsys\n@fw.task\ndef t() -> int:\n    return colorsys.hsv_to_rgb\n@fw.pipeline\ndef p():\n    fw.value(t())\n"
    )
    told = package.at(".", "run", "project.py").stderr
    assert "colorsys.py has the name of the library" in told, told
