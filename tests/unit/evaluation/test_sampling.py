"""Thinning keeps what a reader would notice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fairway.evaluation.sampling import along, most_frequent, points, spread, stratified


@given(st.integers(1, 3000), st.integers(2, 200), st.integers(0, 99))
def test_a_line_keeps_its_ends_and_few_of_its_points(rows: int, limit: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = np.sort(random.random(rows)), np.sort(random.random(rows))
    kept, every = along(x, y, limit), points(x, y)
    assert len(kept) <= max(limit, 2)
    assert (kept[0], kept[-1]) == (every[0], every[-1])
    assert set(kept) <= set(every)


def test_a_line_is_followed_closely() -> None:
    x = np.linspace(0, 1, 100_000)
    y = x ** (1 / 20)
    kept = np.array(along(x, y, 200))
    assert abs(np.interp(x, kept[:, 0], kept[:, 1]) - y).max() < 0.02


def test_a_cloud_keeps_what_is_far_off() -> None:
    truth = np.arange(5000.0)
    predicted = truth.copy()
    predicted[1234] += 900
    kept = spread(truth, predicted, 200)
    assert len(kept) == 200
    assert (1234.0, 2134.0) in kept
    assert kept[0][0] < 60
    assert kept[-1][0] > 4940


def test_every_cluster_keeps_its_share() -> None:
    clusters = np.repeat([0, 1, 2, 3], [9000, 900, 2, 1])
    rows = stratified(clusters, 100)
    counts = np.bincount(clusters[rows])
    assert counts.tolist() == [91, 9, 2, 1]
    assert len(set(rows.tolist())) == len(rows)
    assert stratified(clusters, 100).tolist() == rows.tolist()


def test_the_first_of_equals_is_kept() -> None:
    assert most_frequent(np.array([1, 5, 5, 5, 9]), 3) == [1, 2, 4]
