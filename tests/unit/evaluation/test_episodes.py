"""Student's interval and the histogram of returns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fairway.evaluation.episodes import MAX_BINS, histogram, return_metrics, student_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 10, 29, 100, 1000, 100_000])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_quantiles_equal_scipy(degrees: int, confidence: float) -> None:
    expected = stats.t.ppf((1 + confidence) / 2, degrees)
    assert student_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-8)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30))
def test_the_interval_equals_scipy(returns: list[float]) -> None:
    found = return_metrics(np.array(returns))
    half = stats.t.ppf(0.975, len(returns) - 1) * np.std(returns, ddof=1) / np.sqrt(len(returns))
    assert found["mean_return_high"] - found["mean_return"] == pytest.approx(half, abs=1e-8)
    assert found["mean_return"] - found["mean_return_low"] == pytest.approx(half, abs=1e-8)
    assert found["std_return"] == pytest.approx(np.std(returns, ddof=1))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=600))
def test_the_histogram_counts_every_return(returns: list[float]) -> None:
    bins = histogram(np.array(returns))
    assert sum(count for _, count in bins) == len(returns)
    assert len(bins) <= MAX_BINS


def test_equal_returns_are_one_bar() -> None:
    assert histogram(np.array([3.0, 3.0])) == ((3.0, 2.0),)
    assert histogram(np.array([-1.7e308, 1.7e308])) == ()
