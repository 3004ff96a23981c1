"""What every worker of the test runner loads before a test runs."""

import ast
from pathlib import Path

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
