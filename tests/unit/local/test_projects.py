"""A project file is imported under the name that its place and its own imports give it."""

from pathlib import Path

import pytest

from fairway.local import projects
from fairway.spec.errors import NotFound, UsageError


def make(folder: Path, *files: str) -> None:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("files", "text", "module", "roots"),
    [
        (["flow.py", "steps.py"], "from steps import load", "flow", ["shop"]),
        (["__init__.py", "flow.py", "steps.py"], "from shop.steps import load", "shop.flow", ["."]),
        (["__init__.py", "flow.py"], "import json", "shop.flow", ["."]),
        (["__init__.py", "flow.py", "steps.py"], "import steps", "flow", ["shop"]),
        (
            ["__init__.py", "flow.py", "steps.py"],
            "import steps\nfrom . import steps",
            "shop.flow",
            [".", "shop"],
        ),
        (["flow.py", "steps.py"], "from .steps import load", "shop.flow", ["."]),
        (["flow.py", "steps.py"], "from shop import (\n  # first\n  steps,\n)", "shop.flow", ["."]),
        (["flow.py"], "from shop.other import load", "flow", ["shop"]),
        (["flow.py", "json.py"], "from ..shop import a", "root.shop.flow", [".."]),
        (["flow.py"], "from features import clean", "flow", ["shop"]),
    ],
)
def test_the_name_of_a_file_follows_from_its_package_and_its_imports(
    tmp_path: Path, files: list[str], text: str, module: str, roots: list[str]
) -> None:
    top = tmp_path / "root"
    make(top / "shop", *files)
    (top / "shop" / "flow.py").write_text(text)
    place = projects.locate(str(top / "shop" / "flow.py"))
    assert place.module == module
    assert place.roots == [str((top / root).resolve()) for root in roots]


def test_a_folder_that_is_named_like_a_library_is_no_package_of_that_name(tmp_path: Path) -> None:
    make(tmp_path, "sklearn/train.py")
    (tmp_path / "sklearn/train.py").write_text("from sklearn.linear_model import Ridge\nimport sklearn")
    assert projects.locate(str(tmp_path / "sklearn/train.py")).module == "train"


def test_a_name_that_the_caller_imported_counts_where_the_file_lies_so(tmp_path: Path) -> None:
    make(tmp_path, "a/b/flow.py")
    file = str(tmp_path / "a/b/flow.py")
    for given, module in (("b.flow", "b.flow"), ("a.b.flow", "a.b.flow"), ("else.flow", "flow")):
        assert projects.locate(file, given).module == module


def test_modules_above_a_file_are_found_within_its_project_only(tmp_path: Path) -> None:
    make(tmp_path, "features.py", "p/jobs/flow.py", "p/src/shop/__init__.py")
    file = tmp_path / "p/jobs/flow.py"
    file.write_text("import features, shop")
    assert projects.locate(str(file)).roots == [str(tmp_path / "p/jobs")]
    make(tmp_path, "p/pyproject.toml")
    assert projects.locate(str(file)).roots == [str(tmp_path / "p/jobs"), str(tmp_path / "p/src")]


def test_a_copy_of_a_project_holds_all_folders_that_it_imports_from(tmp_path: Path) -> None:
    make(tmp_path, "p/pyproject.toml", "p/jobs/serve.py", "p/src/shop/__init__.py", "p/common.py")
    file = tmp_path / "p/jobs/serve.py"
    file.write_text("import common\nimport shop")
    folder = projects.copied_folder(projects.locate(str(file)))
    assert folder == str(tmp_path / "p")
    copy = projects.locate_copy(folder, "jobs/serve.py")
    assert str(tmp_path / "p") in copy.roots
    assert str(tmp_path / "p/src") in copy.roots


def test_a_word_is_a_file_or_a_module_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(
        tmp_path, "src/shop/__init__.py", "src/shop/flow.py", "alone.py", "book.ipynb", "two words/my.flow.py"
    )
    (tmp_path / "src/shop/flow.py").write_text("import fairway as fw\n@fw.pipeline\n")
    monkeypatch.chdir(tmp_path)
    flow = str(tmp_path / "src/shop/flow.py")
    assert projects.find("src/shop/flow.py") == (flow, "")
    assert projects.find("shop.flow") == (flow, "shop.flow")
    assert projects.find("alone") == (str(tmp_path / "alone.py"), "alone")
    assert projects.find("two words/my.flow.py")[0].endswith("my.flow.py")
    for word, error, said in (
        ("book.ipynb", UsageError, "notebook"),
        ("src/shop", UsageError, "is a folder"),
        ("shop.gone", NotFound, "no file shop.gone"),
        ("json.tool", NotFound, "no file json.tool"),
    ):
        with pytest.raises(error, match=said):
            projects.find(word)
