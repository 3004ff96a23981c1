"""How rows become class numbers."""

from typing import Any

import numpy as np
import pytest

from fairway.evaluation.arrays import column
from fairway.evaluation.targets import codes_of, targets
from fairway.spec.errors import FairwayError


def rows(truth: list[Any], predicted: list[Any] | None = None, **given: Any) -> Any:
    return targets(
        column(truth, "truth"), None if predicted is None else column(predicted, "predicted"), **given
    )


def test_classes_are_sorted_and_numbered() -> None:
    found = rows(["b", "c"], ["a", "c"])
    assert found.classes == ("a", "b", "c")
    assert (found.truth.tolist(), found.predicted.tolist()) == ([1, 2], [0, 2])


@pytest.mark.parametrize(
    ("truth", "predicted", "classes"),
    [
        ([True, False], [True, True], (False, True)),
        ([True, False], [1, 0], (0, 1)),
        ([1.0, 2.0], [1, 2], (1, 2)),
        ([-1, 10, 9], [9, 9, 9], (-1, 9, 10)),
    ],
)
def test_labels_are_plain_values(truth: list[Any], predicted: list[Any], classes: tuple[Any, ...]) -> None:
    found = rows(truth, predicted).classes
    assert found == classes
    assert [type(a) for a in found] == [type(a) for a in classes]


@pytest.mark.parametrize(
    ("truth", "predicted", "classes", "positive"),
    [
        (["no", "yes"], ["no", "no"], ("no", "yes"), "yes"),
        ([0, 0], [0, 0], (0,), 1),
        ([1, 1], [1, 1], (1,), 1),
        ([False], [False], (False,), True),
        ([5, 5], [5, 5], (5,), None),
        (["a"], ["a"], ("a",), None),
        ([0, 1, 2], [0, 0, 0], (0, 1, 2), None),
        ([0, 0], None, (0, 1), 1),
        ([True], None, (False, True), True),
    ],
)
def test_the_positive_class(
    truth: list[Any], predicted: Any, classes: tuple[Any, ...], positive: Any
) -> None:
    found = rows(truth, predicted)
    assert (found.classes, found.positive) == (classes, positive)
    assert found.is_positive(found.truth).tolist() == [positive is not None and t == positive for t in truth]


def test_positive_must_fit_the_type() -> None:
    assert rows([0, 1], [0, 1], positive=np.int8(0)).positive == 0
    with pytest.raises(FairwayError, match="positive holds text and truth holds numbers"):
        rows([0, 1], [0, 1], positive="1")


def test_floats_beyond_their_precision_are_refused() -> None:
    with pytest.raises(FairwayError, match="truth holds floats too large to be classes"):
        rows([2.0**53, 1.0], [1.0, 1.0])


def test_clusters_are_numbered_without_gaps() -> None:
    labels, codes = codes_of(column([7, -1, 7], "clusters"), "clusters")
    assert labels == (-1, 7)
    assert codes.tolist() == [1, 0, 1]
