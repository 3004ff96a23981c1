"""Cluster measures against scikit-learn where they are hard: many rows, duplicates, far from the origin."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from fairway.evaluation import clustering
from fairway.evaluation.clustering import (
    adjusted_rand,
    calinski_harabasz,
    davies_bouldin,
    mutual_information,
    silhouettes,
)

partitions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40)


@given(partitions)
def test_agreement_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, found = np.array([t for t, _ in pairs]), np.array([c for _, c in pairs])
    assert adjusted_rand(truth, found) == pytest.approx(sk.adjusted_rand_score(truth, found))
    expected = sk.normalized_mutual_info_score(truth, found)
    assert mutual_information(truth, found) == pytest.approx(expected, abs=1e-9)


def test_agreement_does_not_overflow() -> None:
    found = np.arange(400_000) % 3
    truth = np.arange(400_000) % 2
    assert adjusted_rand(truth, found) == pytest.approx(sk.adjusted_rand_score(truth, found), abs=1e-12)


def test_silhouettes_in_blocks_equal_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    data, clusters = random.normal(size=(300, 3)), random.integers(0, 5, 300)
    expected = sk.silhouette_samples(data, clusters)
    for block in (1, 700, 4_000_000):
        monkeypatch.setattr(clustering, "BLOCK", block)
        assert silhouettes(data, clusters) == pytest.approx(expected)
        assert davies_bouldin(data, clusters) == pytest.approx(sk.davies_bouldin_score(data, clusters))


def test_a_row_alone_in_its_cluster_has_silhouette_zero() -> None:
    data, clusters = np.array([[0.0], [1], [9]]), np.array([0, 0, 1])
    assert silhouettes(data, clusters) == pytest.approx(sk.silhouette_samples(data, clusters))
    assert silhouettes(data, clusters)[2] == 0


def test_far_from_the_origin_nothing_is_lost() -> None:
    random = np.random.default_rng(1)
    data, clusters = random.normal(size=(60, 2)), np.arange(60) % 3
    near = silhouettes(data, clusters)
    assert silhouettes(data + 1e7, clusters) == pytest.approx(near, abs=1e-6)
    assert davies_bouldin(data + 1e7, clusters) == pytest.approx(davies_bouldin(data, clusters), rel=1e-6)


@pytest.mark.parametrize("data", [np.zeros((6, 2)), np.repeat([[0.0, 1], [2, 3]], 3, axis=0)])
def test_clusters_of_equal_rows_equal_scikit_learn(data: np.ndarray) -> None:
    clusters = np.array([0, 0, 0, 1, 1, 1])
    assert calinski_harabasz(data, clusters) == sk.calinski_harabasz_score(data, clusters)
    assert davies_bouldin(data, clusters) == sk.davies_bouldin_score(data, clusters)
    assert silhouettes(data, clusters) == pytest.approx(sk.silhouette_samples(data, clusters))


def test_equal_rows_have_no_distance_whatever_their_place() -> None:
    data = np.full((8, 3), 0.1)
    assert silhouettes(data, np.arange(8) % 2).tolist() == [0] * 8
    middle = np.array([[1.1], [-1.1], [2.3], [-2.3], [7.7], [7.9]])
    clusters = np.array([0, 0, 1, 1, 2, 2])
    assert davies_bouldin(middle + 0.1, clusters) == pytest.approx(np.mean([1.2, 2.4, 2.4]) / 7.8)


def test_ten_thousand_rows_are_exact_in_bounded_memory() -> None:
    code = """
import resource, numpy as np
from fairway.evaluation import evaluate
random = np.random.default_rng(0)
data = random.normal(size=(10_000, 4)) + np.arange(10_000)[:, None] % 3 * 4
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
value = evaluate(data=data, clusters=np.arange(10_000) % 3).silhouette
print(value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    value, grown = map(float, out.split())
    random = np.random.default_rng(0)
    data = random.normal(size=(10_000, 4)) + np.arange(10_000)[:, None] % 3 * 4
    assert value == pytest.approx(sk.silhouette_score(data, np.arange(10_000) % 3))
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < 250 * 2**20  # all distances at once would be 763 MiB
