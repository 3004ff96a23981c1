"""Calibration against scikit-learn, and what counts as a probability."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from fairway.evaluation.probability import are_probabilities, calibration, calibration_error, log_loss


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=60))
def test_bins_equal_scikit_learn(pairs: list[tuple[bool, int]]) -> None:
    truth = np.array([t for t, _ in pairs])
    chance = np.array([p / 20 for _, p in pairs])
    groups = calibration(truth, chance)
    observed, predicted = calibration_curve(truth, chance, n_bins=10, pos_label=True)
    assert groups.observed == pytest.approx(observed)
    assert groups.predicted == pytest.approx(predicted)
    assert groups.rows.sum() == len(pairs)


def test_calibration_error_weighs_bins_by_rows() -> None:
    truth = np.array([True, True, True, False])
    groups = calibration(truth, np.array([0.9, 0.9, 0.9, 0.4]))
    assert calibration_error(groups) == pytest.approx(0.75 * 0.1 + 0.25 * 0.4)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.0, 1.0], True),
        ([-0.1, 1.0], False),
        ([0.5, 1.1], False),
        ([[0.5, 0.5], [0.2, 0.8005]], True),
        ([[0.5, 0.5], [0.2, 0.9]], False),
    ],
)
def test_probabilities(scores: list[float], expected: bool) -> None:
    assert are_probabilities(np.array(scores)) is expected


def test_certainty_that_is_wrong_costs_what_the_type_can_tell() -> None:
    for dtype in (np.float32, np.float64):
        assert log_loss(np.array([0.0], dtype=dtype)) == pytest.approx(-np.log(np.finfo(dtype).eps))
