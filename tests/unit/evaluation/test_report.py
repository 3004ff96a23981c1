"""`fw.evaluate` as people call it: values against scikit-learn, the kinds it finds, and what it refuses."""

import json
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from fairway.evaluation import evaluate
from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import Evaluation, MetricMissing
from fairway.spec.metrics import METRICS

LABELS: dict[str, list[Any]] = {
    "numbers": [0, 1, 2, 5, 7],
    "text": ["ham", "spam", "", "ünï", "z"],
    "negative": [-3, -1, 0, 2, 9],
    "floats": [0.0, 1.0, 2.0, 3.0, 4.0],
}


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """scikit-learn warns where Fairway says why a metric is absent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@st.composite
def classified(draw: Any, most: int = 5) -> tuple[list[Any], list[Any]]:
    labels = LABELS[draw(st.sampled_from(sorted(LABELS)))][: draw(st.integers(1, most))]
    rows = draw(
        st.lists(st.tuples(st.sampled_from(labels), st.sampled_from(labels)), min_size=1, max_size=40)
    )
    return [true for true, _ in rows], [found for _, found in rows]


@given(classified())
def test_averages_equal_scikit_learn(rows: tuple[list[Any], list[Any]]) -> None:
    truth, predicted = rows
    report = evaluate(truth, predicted)
    assert report.accuracy == pytest.approx(sk.accuracy_score(truth, predicted))
    assert report.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(truth, predicted))
    for average in ("macro", "weighted", "micro"):
        for name, score in (
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
            ("f1", sk.f1_score),
        ):
            expected = score(truth, predicted, average=average, zero_division=0)
            assert report.metric(f"{name}_{average}") == pytest.approx(expected)


@given(classified())
def test_classes_and_confusion_equal_scikit_learn(rows: tuple[list[Any], list[Any]]) -> None:
    truth, predicted = rows
    report = evaluate(truth, predicted)
    expected = sk.precision_recall_fscore_support(truth, predicted, zero_division=0)
    found = [(each.precision, each.recall, each.f1, each.count) for each in report.per_class]
    assert np.array(found) == pytest.approx(np.array(expected).T)
    assert [list(row) for row in report.confusion] == sk.confusion_matrix(truth, predicted).tolist()
    assert list(report.classes) == sorted({*truth, *predicted})


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), st.booleans())
def test_two_classes_are_about_the_positive_one(rows: list[tuple[bool, bool]], as_numbers: bool) -> None:
    truth: list[Any] = [int(t) if as_numbers else t for t, _ in rows]
    predicted: list[Any] = [int(p) if as_numbers else p for _, p in rows]
    report = evaluate(truth, predicted)
    assert report.precision == pytest.approx(sk.precision_score(truth, predicted, zero_division=0))
    assert report.recall == pytest.approx(sk.recall_score(truth, predicted, zero_division=0))
    assert report.f1 == pytest.approx(sk.f1_score(truth, predicted, zero_division=0))
    assert report.positive is (1 if as_numbers else True)


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_positive_chooses_the_class(positive: str) -> None:
    truth, predicted = ["no", "yes", "yes", "no", "no"], ["no", "yes", "no", "no", "yes"]
    chance = [0.1, 0.9, 0.4, 0.45, 0.7]
    scores = chance if positive == "yes" else [1 - p for p in chance]
    report = evaluate(truth, predicted, scores=scores, positive=positive)
    actual = [t == positive for t in truth]
    assert report.f1 == pytest.approx(sk.f1_score(truth, predicted, pos_label=positive))
    assert report.roc_auc == pytest.approx(sk.roc_auc_score(actual, scores))
    assert report.average_precision == pytest.approx(sk.average_precision_score(actual, scores))
    assert report.log_loss == pytest.approx(sk.log_loss(actual, scores))
    both = np.array([[1 - p, p] for p in chance])
    assert evaluate(truth, predicted, scores=both, positive=positive).metrics == pytest.approx(report.metrics)


@st.composite
def scored(draw: Any) -> tuple[Any, Any]:
    """Two classes and scores with many ties, in the precision of one or two words."""
    rows = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=40))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return np.array([t for t, _ in rows]), np.array([s / 8 for _, s in rows], dtype=dtype)


@given(scored())
def test_scores_of_two_classes_equal_scikit_learn(rows: tuple[Any, Any]) -> None:
    truth, scores = rows
    report = evaluate(truth, scores=scores)
    assert report.log_loss == pytest.approx(sk.log_loss(truth, scores, labels=[False, True]), rel=1e-5)
    assert report.brier == pytest.approx(sk.brier_score_loss(truth, scores, pos_label=True), rel=1e-5)
    assert report.accuracy == pytest.approx(np.mean(truth == (scores > 0.5)))
    if len(set(truth.tolist())) == 2:
        assert report.roc_auc == pytest.approx(sk.roc_auc_score(truth, scores))
    else:
        assert not hasattr(report, "roc_auc")
    if truth.any():
        assert report.average_precision == pytest.approx(sk.average_precision_score(truth, scores))
    else:
        assert "average_precision" in report.absent


@given(st.integers(3, 6), st.integers(0, 10_000), st.sampled_from([np.float32, np.float64]))
def test_scores_of_many_classes_equal_scikit_learn(classes: int, seed: int, dtype: Any) -> None:
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), random.integers(0, classes, 30)])
    scores = random.dirichlet(np.full(classes, 0.7), len(truth)).round(1)
    scores[scores.sum(axis=1) == 0, 0] = 1
    scores = (scores / scores.sum(axis=1, keepdims=True)).astype(dtype)
    names = np.array([f"class {i}" for i in range(classes)])
    report = evaluate(names[truth], scores=scores)
    predicted = scores.argmax(axis=1)
    assert report.accuracy == pytest.approx(sk.accuracy_score(truth, predicted))
    expected = sk.roc_auc_score(truth, scores, multi_class="ovr", average="macro")
    assert report.roc_auc == pytest.approx(expected)
    assert report.average_precision == pytest.approx(sk.average_precision_score(truth, scores))
    assert report.log_loss == pytest.approx(sk.log_loss(truth, scores), rel=1e-5)
    if classes > 2:
        assert report.brier == pytest.approx(sk.brier_score_loss(truth, scores), rel=1e-5)
    every = sk.roc_auc_score(truth, scores, multi_class="ovr", average=None)
    assert [each.roc_auc for each in report.per_class] == pytest.approx(list(every))


def test_columns_of_scores_follow_labels() -> None:
    truth = ["b", "a", "c", "b"]
    scores = np.array([[0.1, 0.7, 0.2], [0.0, 0.2, 0.8], [0.9, 0.05, 0.05], [0.3, 0.4, 0.3]])
    report = evaluate(truth, scores=scores, labels=["c", "b", "a"])
    assert report.accuracy == 1.0
    assert report.classes == ("c", "b", "a")
    assert report.log_loss == pytest.approx(-np.log([0.7, 0.8, 0.9, 0.4]).mean())


def test_labels_may_hold_a_class_without_rows() -> None:
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    report = evaluate(["a", "b"], scores=scores, labels=["a", "b", "c"])
    assert report.log_loss == pytest.approx(sk.log_loss(["a", "b"], scores, labels=["a", "b", "c"]))
    assert report.f1_macro == pytest.approx(
        sk.f1_score(["a", "b"], ["a", "b"], labels=["a", "b", "c"], average="macro")
    )
    with pytest.raises(MetricMissing, match="does not tell c from the rest"):
        _ = report.roc_auc


def test_scores_that_are_no_probabilities_still_rank() -> None:
    truth, scores = [0, 1, 1, 0], [-2.0, 3.0, 0.5, 0.1]
    report = evaluate(truth, scores=scores)
    assert report.roc_auc == pytest.approx(sk.roc_auc_score(truth, scores))
    assert report.accuracy == 0.75
    with pytest.raises(MetricMissing, match="the scores are not probabilities"):
        _ = report.log_loss
    many = evaluate([0, 1, 2], scores=[[5.0, 1, 1], [0, 2, 1], [0, 0, 2]])
    assert many.roc_auc == 1.0
    assert set(many.absent) == {"log_loss", "brier", "calibration_error"}


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_regression_equals_scikit_learn(rows: list[tuple[float, float]]) -> None:
    truth, predicted = [t for t, _ in rows], [p for _, p in rows]
    report = evaluate(truth, predicted, kind="regression")
    assert report.mae == pytest.approx(sk.mean_absolute_error(truth, predicted))
    assert report.rmse == pytest.approx(sk.root_mean_squared_error(truth, predicted))
    assert report.median_error == pytest.approx(sk.median_absolute_error(truth, predicted))
    assert report.mape == pytest.approx(sk.mean_absolute_percentage_error(truth, predicted))
    if len(rows) > 1:
        assert report.r2 == pytest.approx(sk.r2_score(truth, predicted), rel=1e-6)
    else:
        assert report.absent["r2"] == "it needs two rows at least"
    assert bool(report.notes) == (0 in truth)


@pytest.mark.parametrize("predicted", [[3.5, 3.5], [3.5, 4.5]])
def test_r2_of_a_constant_truth_equals_scikit_learn(predicted: list[float]) -> None:
    assert evaluate([3.5, 3.5], predicted).r2 == sk.r2_score([3.5, 3.5], predicted)


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 4))
def test_clustering_equals_scikit_learn(seed: int, clusters: int, width: int) -> None:
    random = np.random.default_rng(seed)
    data = random.normal(size=(40, width)).round(1)
    found = np.concatenate([np.arange(clusters), random.integers(0, clusters, 40 - clusters)]) - 1
    truth = random.choice(["a", "b", "c"], 40)
    report = evaluate(truth, data=data, clusters=found)
    assert report.silhouette == pytest.approx(sk.silhouette_score(data, found), abs=1e-7)
    assert report.calinski_harabasz == pytest.approx(sk.calinski_harabasz_score(data, found))
    expected = sk.davies_bouldin_score(data, found)
    if expected < 1e6:  # centres that differ by rounding only make scikit-learn's value noise
        assert report.davies_bouldin == pytest.approx(expected)
    assert report.ari == pytest.approx(sk.adjusted_rand_score(truth, found))
    assert report.nmi == pytest.approx(sk.normalized_mutual_info_score(truth, found))


def test_clusters_may_be_judged_by_truth_alone() -> None:
    report = evaluate([1, 1, 2, 2], clusters=["x", "x", "y", "y"])
    assert (report.ari, report.nmi) == (1.0, pytest.approx(1.0))
    assert evaluate([1, 1, 2, 2], ["x", "x", "y", "y"], kind="clustering") == report
    with pytest.raises(MetricMissing, match="it needs data and clusters"):
        _ = report.silhouette


@pytest.mark.parametrize("clusters", [[0, 0, 0], [0, 1, 2]])
def test_separation_needs_two_clusters_and_fewer_than_rows(clusters: list[int]) -> None:
    report = evaluate(data=[[0.0, 1], [1, 1], [5, 5]], clusters=clusters)
    assert not report.metrics
    assert set(report.absent) == {"silhouette", "calinski_harabasz", "davies_bouldin"}
    assert report.headline == ""


def test_episodes() -> None:
    report = evaluate(returns=[10, 20.0, 33], lengths=[5, 7, 9])
    assert (report.kind, report.count) == ("episodes", 3)
    assert report.mean_return == 21
    assert report.mean_length == 7
    assert report.std_return == pytest.approx(np.std([10, 20, 33], ddof=1))
    assert (report.min_return, report.max_return) == (10, 33)


@pytest.mark.parametrize(
    ("truth", "predicted", "kind"),
    [
        (["a", "b"], ["a", "a"], "classification"),
        ([True, False], [True, True], "classification"),
        ([0, 1, 1], [0, 1, 0], "classification"),
        ([0.0, 1.0], [1.0, 1.0], "classification"),
        ([0, 1], [0.2, 0.9], "regression"),
        ([1.5, 2.0], [1, 2], "regression"),
        (list(range(50)), list(range(50)), "classification"),
        (list(range(51)), list(range(51)), "regression"),
        ([f"class {i}" for i in range(80)], [f"class {i}" for i in range(80)], "classification"),
    ],
)
def test_kind_is_found(truth: list[Any], predicted: list[Any], kind: str) -> None:
    assert evaluate(truth, predicted).kind == kind


def test_kind_can_be_given() -> None:
    assert evaluate([1, 2, 3], [1, 2, 4], kind="regression").mae == pytest.approx(1 / 3)
    many = list(range(60))
    assert evaluate(many, many, kind="classification").accuracy == 1.0


def test_a_doubtful_guess_is_said() -> None:
    numbers = list(range(30))
    assert 'pass `kind="regression"`' in str(evaluate(numbers, numbers))
    assert evaluate(numbers, numbers, kind="classification").notes == ()
    assert evaluate([str(i) for i in numbers], [str(i) for i in numbers]).notes == ()


def test_extra_metrics_are_kept_for_gates() -> None:
    report = evaluate([0, 1], [0, 1], extra={"profit": 12, "profit_macro": 3.5})
    assert report.metric("profit") == report.metrics["profit"] == 12.0
    assert "profit_macro" in str(report)


@pytest.mark.parametrize(
    ("name", "value"), [("accuracy", 1.0), ("a b", 1.0), ("x", float("nan")), ("x", "much")]
)
def test_extra_metrics_are_checked(name: str, value: Any) -> None:
    with pytest.raises(FairwayError):
        evaluate([0, 1], [0, 1], extra={name: value})


REFUSED: list[tuple[Callable[[], Evaluation], str]] = [
    (lambda: evaluate(), "there is nothing to evaluate"),
    (lambda: evaluate([1, 2]), "there is truth and nothing to compare it to"),
    (lambda: evaluate([], []), "truth is empty"),
    (lambda: evaluate([1, 2], [1]), "truth has 2 rows and predicted has 1"),
    (lambda: evaluate([1, 2], ["a", "b"]), "predicted holds text and truth holds numbers"),
    (lambda: evaluate([1, None], [1, 2]), "truth holds a missing value in row 1"),
    (lambda: evaluate([1.5, 2.5], [float("nan"), 1]), "predicted holds a missing value in row 0"),
    (lambda: evaluate([1.5, 2.5], [1, float("inf")]), "predicted holds an infinite number in row 1"),
    (lambda: evaluate([0, 1], scores=[0.5]), "truth has 2 rows and scores has 1"),
    (lambda: evaluate([0, 1], scores=[0.5, float("nan")]), "scores holds a missing value in row 1"),
    (lambda: evaluate([0, 1, 2], scores=[0.1, 0.2, 0.3]), "scores have 1 column and there are 3 classes"),
    (lambda: evaluate(["a", "a"], scores=[0.1, 0.2]), "scores need two classes and every row is of class a"),
    (lambda: evaluate([0, 1], scores=np.ones((2, 3)) / 3), "scores have 3 columns and there are 2 classes"),
    (
        lambda: evaluate(["a", "x"], ["a", "a"], labels=["a", "b"]),
        "truth holds the class x, which is not in labels",
    ),
    (lambda: evaluate(["a"], ["a"], labels=["a", "a"]), "labels holds the same class twice"),
    (lambda: evaluate([0, 1], [0, 1], positive=2), "positive is 2, and the classes are 0 and 1"),
    (lambda: evaluate([0, 1, 2], [0, 1, 2], positive=1), "positive needs two classes and there are 3"),
    (lambda: evaluate([0.5, 1], [1, 1], kind="classification"), "truth holds fractions"),
    (lambda: evaluate(["a"], ["b"], kind="regression"), "truth holds text where numbers are needed"),
    (lambda: evaluate([1], [1], kind="ranking"), "there is no kind 'ranking'"),  # type: ignore[arg-type]
    (lambda: evaluate([1], [1], returns=[1]), "truth has no meaning for episodes"),
    (lambda: evaluate(data=[[1.0]]), "clustering needs clusters"),
    (lambda: evaluate(clusters=[1]), "clustering needs data or truth"),
    (lambda: evaluate(data=[[1.0]], clusters=[1, 2]), "clusters has 2 rows and data has 1"),
    (lambda: evaluate(lengths=[1]), "episodes needs returns"),
    (lambda: evaluate(returns=[1, 2], lengths=[1]), "returns has 2 rows and lengths has 1"),
    (lambda: evaluate(returns=[1], lengths=[-1]), "lengths holds a negative number of steps"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refusals_say_what_and_what_next(call: Callable[[], Evaluation], message: str) -> None:
    with pytest.raises(FairwayError) as caught:
        call()
    assert message in caught.value.message
    assert caught.value.hint
    assert not caught.value.message.endswith(".")


def test_what_people_hold_gives_the_same_report() -> None:
    truth, predicted = [0, 1, 1, 0], [0, 1, 0, 0]
    expected = evaluate(truth, predicted)
    for hold in (tuple, np.array, pd.Series, pd.array, iter, lambda v: pd.DataFrame({"y": v})):
        assert evaluate(hold(truth), hold(predicted)) == expected
    assert evaluate([Decimal(v) for v in truth], [np.int8(v) for v in predicted]) == expected
    words = ["no", "yes", "yes", "no"]
    assert evaluate(pd.Categorical(words), pd.Series(words, dtype="string")) == evaluate(words, words)


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    assert evaluate(polars.Series([1, 2, 1]), polars.Series([1, 1, 1])).accuracy == pytest.approx(2 / 3)
    assert evaluate(polars.Series(["a", "b"]), ["a", "b"]).accuracy == 1.0
    with pytest.raises(FairwayError, match="truth holds a missing value in row 1"):
        evaluate(polars.Series(["a", None]), ["a", "b"])


def test_every_known_metric_is_an_attribute_and_can_be_had() -> None:
    random = np.random.default_rng(3)
    reports = [
        evaluate([0, 1, 1, 0], scores=[0.2, 0.7, 0.4, 0.6]),
        evaluate([1.5, 2, 3], [1.0, 2, 4]),
        evaluate([0, 1] * 10, data=random.normal(size=(20, 2)), clusters=[0, 0, 1, 1] * 5),
        evaluate(returns=[1, 2, 3], lengths=[1, 1, 1]),
    ]
    for report in reports:
        assert set(report.metrics) == {name for name, info in METRICS.items() if info.kind == report.kind}
        assert all(getattr(report, name) == value for name, value in report.metrics.items())
        assert all(type(value) is float for value in report.metrics.values())


@given(classified(), st.integers(0, 100))
def test_it_survives_json(rows: tuple[list[Any], list[Any]], seed: int) -> None:
    random = np.random.default_rng(seed)
    found = sorted({*rows[0], *rows[1]})
    scores = random.dirichlet(np.ones(len(found)), len(rows[0])) if len(found) > 1 else None
    report = evaluate(rows[0], rows[1], scores=scores)
    raw = msgspec.json.encode(report)
    assert msgspec.json.decode(raw, type=Evaluation) == report
    assert msgspec.convert(msgspec.to_builtins(report), Evaluation) == report
    assert "null" not in json.dumps([report.metrics])


def test_it_stays_small() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 200, 20_000)
    scores = random.dirichlet(np.ones(200), 20_000)
    report = evaluate(truth, scores=scores)
    assert len(report.per_class) == 50
    assert report.confusion == ()
    assert "the 50 most frequent of 200 classes are listed" in report.notes
    assert len(msgspec.json.encode(report)) < 32_000
    assert report.accuracy == pytest.approx(sk.accuracy_score(truth, scores.argmax(axis=1)))
    two = evaluate(truth > 100, scores=random.random(20_000))
    for name in ("roc", "precision_recall"):
        assert sum(len(curve.points) for curve in report.curves if curve.name == name) <= 200
        assert sum(len(curve.points) for curve in two.curves if curve.name == name) <= 200


def test_overflow_is_an_absent_metric_not_an_infinity() -> None:
    report = evaluate([1e300, -1e300, 0.5], [-1e300, 1e300, 0.5])
    assert "rmse" not in report.metrics
    assert report.absent["rmse"] == "its value is not a finite number"
    assert report.mae > 1e299
    assert msgspec.json.decode(msgspec.json.encode(report), type=Evaluation) == report
