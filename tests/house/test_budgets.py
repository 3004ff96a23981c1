"""The rules that keep the package small, as counts."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import fairway
from fairway.spec import errors as spec_errors

ROOT = Path(fairway.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if "templates" not in path.parts)
FACES = {
    "task",
    "runs",
    "options",
    "register",
    "evaluate",
    "endpoint",
    "search",
    "run_command",
    "deploy_command",
    "schedule_command",
    "set_webhook_command",
}
"""What users call with keywords, and commands, whose parameters are flags."""


@cache
def trees() -> dict[Path, ast.Module]:
    """Every file of the package with its syntax tree."""
    return {path: ast.parse(path.read_text("utf-8")) for path in FILES}


def functions() -> list[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of the package with its file."""
    return [
        (path, node)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_files_are_short() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in long.items() if lines > 450} == {}


def test_files_of_tests_are_short() -> None:
    """One file is given to one worker of the test runner, and one noun to one file."""
    tests = Path(__file__).parents[1]
    long = {
        str(path.relative_to(tests)): len(path.read_text("utf-8").splitlines())
        for path in tests.rglob("*.py")
    }
    assert len(long) > 300
    assert {name: lines for name, lines in long.items() if lines > 450} == {}


def test_functions_are_short() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path, node in functions()
        if (node.end_lineno or 0) - node.lineno >= 50 and node.name not in FACES
    ] == []


def test_functions_take_few_parameters() -> None:
    def count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        return len([argument for argument in given if argument.arg not in ("self", "cls")])

    assert [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path, node in functions()
        if count(node) > (18 if node.name in FACES else 6)
    ] == []


def test_own_modules_are_imported_at_the_top() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{inner.lineno}"
        for path, node in functions()
        if path.name not in ("script.py", "__main__.py") and not {"cli", "wiring"} & set(path.parts)
        for inner in ast.walk(node)
        if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("fairway")
    ]
    assert found == []


OWN = {
    ".".join(["fairway", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
    for path in FILES
}
LAZY = {"__init__.py", "cli/main.py", "formats/__init__.py", "formats/codecs.py"}
"""The faces, which are tables of what is imported when it is first asked for."""


def imported_by_name(tree: ast.AST) -> list[int]:
    """Lines of a module that import modules of the package by their name as a string, or hold such names to import."""
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", "") or getattr(node.func, "id", ""))
        in ("import_module", "__import__")
    ]
    if not calls:
        return []
    programs = {
        id(word)
        for node in ast.walk(tree)
        if isinstance(node, ast.List)
        for option, word in zip(node.elts, node.elts[1:], strict=False)
        if isinstance(option, ast.Constant) and option.value == "-m"
    }
    asked = {id(part) for call in calls for part in ast.walk(call)}
    return [
        part.lineno
        for part in ast.walk(tree)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in programs
        if part.value in OWN - {"fairway"} or (id(part) in asked and part.value.startswith("fairway."))
    ]


def test_own_modules_are_imported_by_statements_beyond_the_faces() -> None:
    found = {path.relative_to(ROOT).as_posix(): imported_by_name(tree) for path, tree in trees().items()}
    assert {name for name, lines in found.items() if lines} == LAZY


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ('import importlib\nimportlib.import_module("fairway.stores.metadata")', True),
        ('from importlib import import_module\nimport_module(f"fairway.stores.{name}")', True),
        ('HOMES = {"run": "fairway.cli.running"}\nimportlib.import_module(HOMES["run"])', True),
        ('__import__("fairway.stores.metadata")', True),
        ('importlib.import_module("numpy")', False),
        ('importlib.import_module(name)\nsubprocess.run(["python", "-m", "fairway.runner"])', False),
        ('print("fairway.runner")', False),
    ],
)
def test_an_import_by_name_is_found(text: str, is_found: bool) -> None:
    assert bool(imported_by_name(ast.parse(text))) is is_found


def test_only_commands_about_the_store_on_this_disk_open_it() -> None:
    """Every other command, and the API, asks a platform, which may be elsewhere."""
    named = {
        str(path.relative_to(ROOT))
        for path in [*(ROOT / "cli").glob("*.py"), ROOT / "control" / "api.py"]
        if re.search(
            r"LocalStores|SqliteMetadata|FileArtifacts|FileLogs|SystemClock", path.read_text("utf-8")
        )
    }
    assert named == {"cli/storage.py", "cli/trusting.py"}


def test_every_module_says_why_it_exists() -> None:
    assert [
        str(path.relative_to(ROOT)) for path, tree in trees().items() if not ast.get_docstring(tree)
    ] == []


def test_names_say_what_is_in_a_file() -> None:
    assert [path.name for path in FILES if path.stem in {"utils", "helpers", "common", "manager"}] == []


def test_the_public_face_is_small() -> None:
    assert len(fairway.__all__) <= 24


def test_settings_are_few_and_read_in_one_place() -> None:
    read = re.compile(r"environ[^\n]*[\"'](FAIRWAY_[A-Z_]+)|getenv\([\"'](FAIRWAY_[A-Z_]+)")
    places = {path.name for path in FILES if read.search(path.read_text("utf-8"))}
    assert places <= {"headstart.py", "settings.py"}


def test_nothing_is_left_for_later() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert [str(path.relative_to(ROOT)) for path in FILES if words.search(path.read_text("utf-8"))] == []


def test_the_vocabulary_decisions_and_seams_are_fully_typed() -> None:
    pure = [path for path in FILES if {"ports", "spec", "plan"} & set(path.parts)]
    assert len(pure) > 15
    assert [path.name for path in pure if re.search(r"\bAny\b", path.read_text("utf-8"))] == []


def test_settings_have_at_most_five_names() -> None:
    names = {
        name for path in FILES for name in re.findall(r"[\"'](FAIRWAY_[A-Z_]+)", path.read_text("utf-8"))
    } - {"FAIRWAY_HOST"}  # the mark of what descends from a host, no setting
    assert {"FAIRWAY_HOME", "FAIRWAY_TOKEN"} <= names
    assert len(names) <= 5


def test_classes_inherit_once() -> None:
    """Errors may go deeper; a base from elsewhere counts as one step."""
    own = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.endswith("Error")
    }
    deep = {
        name
        for name, bases in own.items()
        for base in bases
        if any(above in own for above in own.get(base, []))
    }
    errors = {name for name in deep if issubclass(getattr(spec_errors, name, object), Exception)}
    assert deep - errors == set()
