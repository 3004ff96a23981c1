"""What counts as a column, and what is said about everything else."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from fairway.evaluation.arrays import column, matrix, numbers, same_length
from fairway.spec.errors import FairwayError


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([True, False], "b", [True, False]),
        ([1, np.int8(2), True], "i", [1, 2, 1]),
        (np.array([1, 2], dtype=np.uint8), "i", [1, 2]),
        ([1, 2.5], "f", [1.0, 2.5]),
        (np.array([0.5], dtype=np.float16), "f", [0.5]),
        (["a", np.str_("b")], "O", ["a", "b"]),
        (np.array(["a", "b"]), "O", ["a", "b"]),
        (np.array([[1], [2]]), "i", [1, 2]),
        (np.array([1, 2], dtype=object), "i", [1, 2]),
        (np.ma.masked_array([1, 2], mask=[False, False]), "i", [1, 2]),
    ],
)
def test_columns(values: Any, kind: str, expected: list[Any]) -> None:
    found = column(values, "truth")
    assert found.dtype.kind == kind
    assert found.tolist() == expected


class Stubborn:
    """Like a tensor that needs its gradient: it refuses to become an array."""

    def __array__(self, *_: object, **__: object) -> Any:
        raise RuntimeError("call detach() first")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "truth is empty"),
        (np.empty((0, 1)), "truth is empty"),
        ("abc", "truth is a str, not one value per row"),
        ({"a": 1}, "truth is a dict"),
        (3, "truth is a int"),
        (np.float64(3), r"truth has shape \(\)"),
        (np.eye(3), r"truth has shape \(3, 3\)"),
        ([1, "a"], "truth mixes int and str"),
        ([[1], [2]], "truth holds values of type list"),
        (["a", None], "truth holds a missing value in row 1"),
        ([1.0, float("nan")], "truth holds a missing value in row 1"),
        (np.array([1.0, 2, np.nan]), "truth holds a missing value in row 2"),
        ([1.0, -float("inf")], "truth holds an infinite number in row 1"),
        (np.ma.masked_array([1, 2], mask=[False, True]), "truth holds a missing value in row 1"),
        ([1, 2**70], "truth holds numbers that are too large"),
        (np.array([2**63], dtype=np.uint64), "truth holds whole numbers beyond 64 bits"),
        (np.array(["2026-01-01"], dtype="datetime64[D]"), "truth holds values of type datetime64"),
        ([1j], "truth holds values of type complex"),
        (["\ud800"], "truth holds text that is not valid Unicode"),
        (Stubborn(), r"truth cannot be read as an array: call detach\(\) first"),
    ],
)
def test_everything_else_is_refused_by_name(values: Any, message: str) -> None:
    with pytest.raises(FairwayError, match=message) as caught:
        column(values, "truth")
    assert caught.value.hint


def test_numbers_take_booleans_and_no_text() -> None:
    assert numbers([True, False], "returns").tolist() == [1.0, 0.0]
    with pytest.raises(FairwayError, match="returns holds text where numbers are needed"):
        numbers(["1"], "returns")


@pytest.mark.parametrize(
    ("values", "shape", "dtype"),
    [
        ([[1, 2], [3, 4]], (2, 2), np.float64),
        ([1, 2], (2,), np.float64),
        (np.ones((3, 1), dtype=np.float32), (3,), np.float32),
        (np.array([[1, 2]], dtype=object), (1, 2), np.float64),
        ([np.array([1.0, 2.0])], (1, 2), np.float64),
    ],
)
def test_matrices(values: Any, shape: tuple[int, ...], dtype: Any) -> None:
    found = matrix(values, "data")
    assert found.shape == shape
    assert found.dtype == dtype


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2], [3]], "data is not a table of numbers"),
        ([["a", "b"]], "data is not a table of numbers"),
        (np.ones((2, 2, 2)), "data has 3 dimensions, not one or two"),
        (np.ones((0, 2)), "data is empty"),
        ([], "data is empty"),
        (np.array([[1, 2], [3, np.nan]]), "data holds a missing value in row 1"),
        (np.array([[1, 2], [3, np.inf]]), "data holds an infinite number in row 1"),
    ],
)
def test_matrices_that_are_refused(values: Any, message: str) -> None:
    with pytest.raises(FairwayError, match=message):
        matrix(values, "data")


def test_lengths() -> None:
    same_length(("truth", 2), ("predicted", 2))
    with pytest.raises(FairwayError, match="truth has 2,000 rows and scores has 3"):
        same_length(("truth", 2000), ("predicted", 2000), ("scores", 3))


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_numpy_is_imported_only_when_something_is_computed() -> None:
    code = (
        "import sys, fairway.evaluation as e;"
        "e.line_chart({'a': [(1, 2), (2, 3)]}, 'a'); e.table_html(['a'], [[1]]);"
        "print('numpy' in sys.modules); e.evaluate([1], [1]);"
        "print('numpy' in sys.modules, 'sklearn' in sys.modules)"
    )
    assert _run(code).split() == ["False", "True", "False"]


def test_without_numpy_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from fairway.evaluation import evaluate\n"
        "try: evaluate([1], [1])\n"
        "except Exception as error: print(type(error).__name__, error, error.hint)"
    )
    assert _run(code) == "FairwayError evaluating needs numpy, which is not installed `pip install numpy`\n"
