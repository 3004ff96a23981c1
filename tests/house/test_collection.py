"""What every worker of the test runner loads before a test runs, and which tests it is given."""

import ast
from pathlib import Path

from distribution import APART, FIRST, TOGETHER, turn_of, unit_of

HEAVY = {"jax", "keras", "schemathesis", "skops", "tensorflow", "torch"}
"""What takes seconds or hundreds of megabytes to import."""


def loaded_at_import(tree: ast.Module) -> set[str]:
    """Return the packages that a file imports at its top, also by `importorskip`."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr) and isinstance(node.value, ast.Call):
            asked = getattr(node.value.func, "attr", "") == "importorskip"
            found |= {
                str(word.value).partition(".")[0]
                for word in node.value.args[:1]
                if asked and isinstance(word, ast.Constant)
            }
    return found


def test_no_test_file_loads_a_heavy_package_before_its_tests_run() -> None:
    """Every worker of the test runner imports every file, whichever tests it runs."""
    files = Path(__file__).parents[1].rglob("*.py")
    found = {str(path): loaded_at_import(ast.parse(path.read_text("utf-8"))) & HEAVY for path in files}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_heavy_package_at_the_top_is_found() -> None:
    assert loaded_at_import(ast.parse('torch: Any = pytest.importorskip("torch.nn")')) == {"torch"}
    assert loaded_at_import(ast.parse("import skops.io\nfrom keras.layers import Dense")) == {
        "skops",
        "keras",
    }
    assert loaded_at_import(ast.parse("def test():\n    import torch")) == set()


def test_what_the_distribution_names_is_there() -> None:
    root = Path(__file__).parents[2]
    assert [part for part in (*TOGETHER, *APART, *FIRST) if not (root / part).exists()] == []


def test_long_units_begin_before_short_ones() -> None:
    nodes = [
        "tests/unit/test_x.py::test",
        "tests/e2e/test_runs.py::test[a::b]",
        "tests/cluster/test_maps.py::test",
    ]
    assert sorted(map(unit_of, nodes), key=turn_of) == [
        "tests/cluster/",
        "tests/e2e/test_runs.py",
        "tests/unit/test_x.py",
    ]


def test_every_page_is_a_unit_of_its_own() -> None:
    page = "tests/docs/test_blocks.py::test_a_page_shows_what_happens[docs/howto/page.md]"
    assert unit_of(page) == page


def test_no_two_modules_beside_tests_have_one_name() -> None:
    """A process that runs tests of two folders would find the first of them for both.

    A test file counts if another one takes something from it.
    """
    tests, named = Path(__file__).parents[1], dict[str, list[str]]()
    taken = set[str]()
    for path in tests.rglob("*.py"):
        taken |= loaded_at_import(ast.parse(path.read_text("utf-8")))
    for path in sorted(tests.rglob("*.py")):
        in_package = (path.parent / "__init__.py").exists()
        taken_from = not path.name.startswith("test_") or path.stem in taken
        if not in_package and path.name != "conftest.py" and taken_from:
            named.setdefault(path.name, []).append(str(path.relative_to(tests)))
    assert [places for places in named.values() if len(places) > 1] == []
