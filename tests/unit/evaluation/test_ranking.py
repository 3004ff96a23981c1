"""Curves and areas against scikit-learn, with ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from fairway.evaluation.ranking import average_precision, precision_recall_curve, ranking, roc_auc, roc_curve

rows = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), max_size=40).map(
    lambda each: [(True, 0), (False, 1), *each]
)


@given(rows)
def test_curves_equal_scikit_learn(pairs: list[tuple[bool, int]]) -> None:
    truth = np.array([t for t, _ in pairs])
    scores = np.array([float(s) for _, s in pairs])
    ranked = ranking(truth, scores)
    false_rate, true_rate, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    assert np.array(roc_curve(ranked)) == pytest.approx(np.array([false_rate, true_rate]))
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    assert np.array(precision_recall_curve(ranked)) == pytest.approx(
        np.array([recall[::-1], precision[::-1]])
    )
    assert roc_auc(ranked) == pytest.approx(sk.roc_auc_score(truth, scores))
    assert average_precision(ranked) == pytest.approx(sk.average_precision_score(truth, scores))


def test_ties_count_half() -> None:
    assert roc_auc(ranking(np.array([True, False]), np.array([0.5, 0.5]))) == 0.5
