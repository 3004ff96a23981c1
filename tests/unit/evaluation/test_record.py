"""The record itself: access to metrics, and how it shows itself."""

import pickle

import msgspec
import pytest

from fairway.evaluation import evaluate
from fairway.spec import evaluation as record
from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import Evaluation, MetricMissing
from fairway.spec.metrics import METRICS, format_label, format_metric, is_better


def test_a_missing_metric_says_why_and_what_there_is() -> None:
    report = evaluate([0, 1], [0, 1])
    with pytest.raises(MetricMissing) as caught:
        _ = report.roc_auc
    assert caught.value.message == "this evaluation of a classification has no roc_auc: it needs scores"
    assert caught.value.hint.startswith("it has accuracy, balanced_accuracy, precision")
    with pytest.raises(MetricMissing, match="it belongs to a regression"):
        _ = report.rmse
    with pytest.raises(MetricMissing, match="no metric has that name"):
        report.metric("acuracy")


def test_a_missing_metric_is_both_kinds_of_error() -> None:
    report = evaluate([0, 1], [0, 1])
    assert getattr(report, "roc_auc", None) is None
    assert not hasattr(report, "rmse")
    with pytest.raises(FairwayError) as caught:
        report.metric("rmse")
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message


def test_every_metric_is_a_documented_float_attribute() -> None:
    for name in METRICS:
        attribute = getattr(Evaluation, name)
        assert isinstance(attribute, property)
        assert attribute.fget is not None
        assert attribute.__doc__
        assert attribute.fget.__annotations__["return"] is float


def test_the_headline_is_what_people_look_at_first() -> None:
    assert evaluate([0, 1], [0, 1]).headline == "accuracy"
    assert evaluate([0.5, 1], [0, 1]).headline == "rmse"
    assert evaluate(returns=[1, 2]).headline == "mean_return"
    assert evaluate([0, 1], clusters=[0, 1]).headline == "ari"


def test_better_knows_the_direction() -> None:
    assert is_better("accuracy", 0.9, 0.8)
    assert not is_better("accuracy", 0.8, 0.8)
    assert is_better("rmse", 1, 2)
    assert not is_better("log_loss", 0.5, 0.4)
    assert is_better("profit", 2, 1)


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError):
        evaluate([0, 1], [0, 1]).count = 3  # type: ignore[misc]


def test_text_is_an_aligned_table() -> None:
    report = evaluate(["ham", "spam", "spam", "ham"], ["ham", "spam", "ham", "ham"])
    assert str(report) == (
        "classification  4 rows  positive class spam\n"
        "\n"
        "accuracy           0.750\n"
        "balanced_accuracy  0.750\n"
        "precision          1.000\n"
        "recall             0.500\n"
        "f1                 0.667\n"
        "\n"
        "class          precision  recall     f1  rows\n"
        "ham                0.667   1.000  0.800     2\n"
        "spam               1.000   0.500  0.667     2\n"
        "macro mean         0.833   0.750  0.733     4\n"
        "weighted mean      0.833   0.750  0.733     4"
    )
    assert repr(report).startswith("Evaluation(classification, 4 rows, accuracy=0.75,")


def test_text_of_other_kinds() -> None:
    assert str(evaluate(returns=[1])) == (
        "1 episode\n\nmean_return  1.000\nmin_return   1.000\nmax_return   1.000\n\n"
        "no mean_return_low: one episode says nothing about the spread\n"
        "no mean_return_high: one episode says nothing about the spread\n"
        "no std_return: one episode says nothing about the spread"
    )
    clusters = str(evaluate(["a", "a", "b"], clusters=[0, 0, 1]))
    assert "cluster  rows  silhouette\n0           2\n1           1" in clusters


def test_long_lists_of_classes_are_cut_but_their_means_stay() -> None:
    labels = [f"class {i}" for i in range(30)]
    lines = str(evaluate(labels, labels)).splitlines()
    assert lines[-3:] == [
        "and 10 more",
        "macro mean         1.000   1.000  1.000    30",
        "weighted mean      1.000   1.000  1.000    30",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"), (1.0, "1.000"), (0.91249, "0.912"), (0.99999, "0.99999"), (-0.5, "-0.500"),
        (0.00123, "0.00123"), (0.0000123, "1.23e-05"), (12.345, "12.35"), (123.456, "123.5"),
        (12345.6, "12,346"), (1.5e9, "1.5e+09"), (1.0001, "1.0001"),
    ],
)  # fmt: skip
def test_numbers_for_people(value: float, text: str) -> None:
    assert format_metric(value) == text


@pytest.mark.parametrize(
    ("label", "text"),
    [("ham", "ham"), (True, "True"), (-1, "-1"), ("", "''"), ("\x1b[31mred\n", "\ufffd[31mred\ufffd")],
)
def test_labels_for_people(label: record.Label, text: str) -> None:
    assert format_label(label) == text


def test_long_labels_are_cut() -> None:
    assert len(format_label("x" * 500)) == 32
    assert format_label("x" * 500).endswith("…")


def test_notebooks_see_pictures() -> None:
    shown = evaluate(["<b>", "&"], ["<b>", "<b>"])._repr_html_()
    assert "<svg" in shown
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown


def test_without_the_pictures_notebooks_see_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_drawing", record._preformatted)
    assert evaluate(["<b>"], ["<b>"])._repr_html_().startswith("<pre>classification  1 row")


def test_labels_keep_their_type_in_json() -> None:
    for labels in ([True, False], [0, 1], ["0", "1"]):
        report = evaluate(labels, labels)
        again = msgspec.json.decode(msgspec.json.encode(report), type=Evaluation)
        assert again == report
        assert [type(a) for a in again.classes] == [type(a) for a in report.classes]
