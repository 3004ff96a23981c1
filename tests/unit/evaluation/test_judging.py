"""What is kept of clusters and said about samples."""

import numpy as np
import pytest

from fairway.evaluation import evaluate, judging


def test_many_rows_are_sampled_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    clusters = random.integers(0, 3, 4000)
    data = random.normal(size=(4000, 2)) + clusters[:, None] * 3
    exact = evaluate(data=data, clusters=clusters)
    monkeypatch.setattr(judging, "SILHOUETTE_ROWS", 1000)
    sampled = evaluate(data=data, clusters=clusters)
    assert sampled.notes == ("silhouette is taken from a sample of 1,000 of 4,000 rows",)
    assert not exact.notes
    assert sampled.silhouette == pytest.approx(exact.silhouette, abs=0.02)
    assert sampled.silhouette != exact.silhouette
    assert sampled.davies_bouldin == exact.davies_bouldin
    assert [each.count for each in sampled.per_cluster] == np.bincount(clusters).tolist()


def test_too_many_clusters_for_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "SILHOUETTE_ROWS", 10)
    report = evaluate(data=np.arange(60.0), clusters=np.arange(60) // 2)
    assert "silhouette" in report.absent
    assert "davies_bouldin" in report.metrics


def test_clusters_have_their_own_silhouette() -> None:
    report = evaluate(data=[[0.0], [0.1], [5.0], [9.0]], clusters=["near", "near", "far", "far"])
    far, near = report.per_cluster
    assert (far.label, far.count, near.label) == ("far", 2, "near")
    assert near.silhouette is not None
    assert far.silhouette is not None
    assert near.silhouette > far.silhouette
    assert report.silhouette == pytest.approx((near.silhouette + far.silhouette) / 2)


def test_the_largest_clusters_are_listed() -> None:
    clusters = np.concatenate([np.arange(70), np.arange(60, 70)])
    report = evaluate(clusters, clusters=clusters)
    assert len(report.per_cluster) == 50
    assert {each.label for each in report.per_cluster} >= set(range(60, 70))
    assert report.notes == ("the 50 largest of 70 clusters are listed",)
