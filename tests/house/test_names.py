"""Every name of the package that tests, benchmarks, examples and documents use is there.

Nothing else notices a name that was changed but the run of the one test that uses it. Modules are read and not imported, except
the faces, which find their names when they are asked for.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import fairway

PACKAGE = Path(fairway.__file__).parent
ROOT = Path(__file__).parents[2]
USERS = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "examples").rglob("*.py"),
         *(ROOT / "docs").rglob("*.py")]  # fmt: skip
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATCHES = {"setattr", "delattr", "patch"}
Scope = dict[str, str]
"""What names mean in a piece of code: the full name of something of the package, or "" for anything else."""


def file_of(module: str) -> Path | None:
    """Return the file of a module of the package; None if there is no such module."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


@cache
def names_in(module: str) -> frozenset[str] | None:
    """Return the names that a module binds outside its functions; None if it finds names when they are asked for."""
    path = file_of(module)
    assert path is not None
    found = bound(ast.parse(path.read_text("utf-8")))
    return (
        None if "__getattr__" in found else frozenset(found | {"__file__", "__name__", "__doc__", "__all__"})
    )


def bound(node: ast.AST) -> set[str]:
    """Return the names that the statements of a module or function bind, those of inner functions left out."""
    found: set[str] = set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        given = node.args
        every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
        found |= {one.arg for one in every if one is not None}
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(part.name)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in part.names}
        else:
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                found.add(part.id)
            elif isinstance(part, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and part.name:
                found.add(part.name)
            if not isinstance(part, ast.Lambda):
                waiting += ast.iter_child_nodes(part)
    return found


def is_there(name: str) -> bool:
    """Tell whether a full name, such as `fairway.cli.story.report`, is a module or a name in one.

    What follows the name of a class, function or constant is not looked at.
    """
    module, parts = "fairway", name.split(".")[1:]
    for place, part in enumerate(parts):
        if file_of(f"{module}.{part}") is not None:
            module = f"{module}.{part}"
            continue
        names = names_in(module)
        there = part in names if names is not None else hasattr(importlib.import_module(module), part)
        return there or (place == 0 and part == "templates")
    return True


def imported(node: ast.AST) -> Scope:
    """Return the names that imports of the package bind, with their full names."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or "fairway": alias.name if alias.asname else "fairway"
            for alias in node.names
            if alias.name.partition(".")[0] == "fairway"
        }
    if (
        isinstance(node, ast.ImportFrom)
        and (node.module or "").partition(".")[0] == "fairway"
        and not node.level
    ):
        return {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {}


def used(node: ast.AST, scope: Scope) -> Iterator[tuple[int, str]]:
    """Yield the full name and line of everything of the package that a piece of code names."""
    own = scope | dict.fromkeys(bound(node), "")
    for part in inside(node):
        own |= imported(part)
    for part in inside(node):
        line = getattr(part, "lineno", 0)
        for name in [alias.name for alias in part.names] if isinstance(part, ast.Import) else []:
            if name.partition(".")[0] == "fairway":
                yield line, name
        if isinstance(part, ast.ImportFrom):
            yield from ((line, name) for name in imported(part).values())
        elif isinstance(part, ast.Attribute):
            name = full(part, own)
            if name:
                yield line, name
        elif isinstance(part, ast.Call) and getattr(part.func, "attr", "") in PATCHES:
            name = patched(part, own)
            if name:
                yield line, name
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from used(part, own)


def inside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a module or function: statements and expressions, each inner function itself, but not what is in it."""
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += part.decorator_list
        elif not isinstance(part, ast.Lambda):
            waiting += ast.iter_child_nodes(part)


def full(node: ast.AST, scope: Scope) -> str:
    """Return the full name of an expression such as `story.report`; "" if it does not begin with something of the package."""
    if isinstance(node, ast.Name):
        return scope.get(node.id, "")
    if isinstance(node, ast.Attribute):
        above = full(node.value, scope)
        return f"{above}.{node.attr}" if above else ""
    return ""


def patched(call: ast.Call, scope: Scope) -> str:
    """Return the full name of what `monkeypatch.setattr` and its kind replace."""
    first = call.args[0] if call.args else None
    second = call.args[1] if len(call.args) > 1 else None
    if any(keyword.arg == "raising" for keyword in call.keywords):
        return ""
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value if first.value.startswith("fairway.") else ""
    above = full(first, scope) if first is not None else ""
    named = isinstance(second, ast.Constant) and isinstance(second.value, str)
    return f"{above}.{second.value}" if above and named and isinstance(second, ast.Constant) else ""


ABSENT = {"fairway.nothing"}
"""The names that tests use because they are not there."""


def missing(text: str, *, given: Scope | None = None) -> list[str]:
    """Return the lines of a piece of code that name something of the package that is not there."""
    return [
        f"{line}: {name}"
        for line, name in used(ast.parse(text), given or {})
        if name not in ABSENT and not is_there(name)
    ]


def programs(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the programs that a test holds as text, with their lines: project files, and code for other processes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value:
            try:
                ast.parse(node.value)
            except (SyntaxError, ValueError):
                continue
            yield node.lineno, node.value


def test_every_name_of_the_package_that_a_file_uses_is_there() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}" for path in USERS for line in missing(path.read_text("utf-8"))
    ]
    assert wrong == []


def test_every_name_of_the_package_that_a_program_in_a_test_uses_is_there() -> None:
    wrong: list[str] = []
    for path in USERS:
        if path == Path(__file__):
            continue
        for place, text in programs(ast.parse(path.read_text("utf-8"))):
            wrong += [
                f"{path.relative_to(ROOT)}:{place}: {line}" for line in missing(text, given={"fw": "fairway"})
            ]
    assert wrong == []


def test_every_name_of_the_package_in_a_block_of_a_document_is_there() -> None:
    wrong: list[str] = []
    for path in PAGES:
        for block in BLOCK.findall(path.read_text("utf-8")):
            try:
                ast.parse(block)
            except SyntaxError:
                continue
            wrong += [f"{path.relative_to(ROOT)}: {line}" for line in missing(block, given={"fw": "fairway"})]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("from fairway.cli import story\nstory.tell('x')", True),
        ("from fairway.cli.story import tell", True),
        ("import fairway.cli.storys", True),
        ("import fairway as fw\n@fw.tasks\ndef one(): ...", True),
        ("from fairway.cli import story\ndef test(monkeypatch):\n    monkeypatch.setattr(story, 'tell', None)", True),
        ("monkeypatch.setattr('fairway.cli.story.tell', None)", True),
        ("def test():\n    from fairway.cli import story\n    story.tell()", True),
        ("import fairway.cli.story\nfairway.cli.story.tell()", True),
        ("from fairway.cli import story\nstory.report('x')", False),
        ("from fairway.cli import story\ndef test(story):\n    story.tell()", False),
        ("from fairway.stores import Layout\nLayout.anything", False),
        ("import fairway as fw\nfw.task\nfw.Folder", False),
        ("monkeypatch.setattr('fairway.cli.story.report', None)", False),
    ],
)  # fmt: skip
def test_a_name_that_is_gone_is_found(text: str, is_found: bool) -> None:
    assert bool(missing(text)) is is_found
