"""Which models pass the gates they are registered with, and what a refusal says."""

import pytest

from fairway.plan.gates import beside, compared, judge
from fairway.spec.errors import GateRefused, UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import Gates


def made(**metrics: float) -> Evaluation:
    return Evaluation(kind="classification", count=1, metrics=metrics)


@pytest.mark.parametrize(
    ("gates", "ours", "rival"),
    [
        (Gates(), None, None),
        (Gates(at_least={"accuracy": 0.9}), made(accuracy=0.9), None),
        (Gates(at_most={"mae": 1.0}), made(mae=1.0), None),
        (Gates(better_than="champion"), made(accuracy=0.5), None),
        (Gates(better_than="champion"), made(accuracy=0.91), made(accuracy=0.9)),
        (Gates(better_than="champion", metric="mae"), made(mae=0.4), made(mae=0.5)),
        (Gates(better_than="champion", at_most={"cost": 9}), made(cost=4), made(cost=5)),
        (Gates(better_than="champion", metric="gain"), made(gain=6), made(gain=5)),
    ],
)
def test_gates_that_are_met_say_nothing(
    gates: Gates, ours: Evaluation | None, rival: Evaluation | None
) -> None:
    judge("toy", gates, ours, rival)


@pytest.mark.parametrize(
    ("gates", "ours", "rival", "said"),
    [
        (Gates(at_least={"accuracy": 0.9}), made(accuracy=0.85), None, "accuracy 0.85 (at least 0.9)"),
        (Gates(at_most={"mae": 1.0}), made(mae=1.5), None, "mae 1.5 (at most 1)"),
        (Gates(at_least={"accuracy": 0.9}), made(accuracy=float("nan")), None, "accuracy nan (at least 0.9)"),
        (
            Gates(at_least={"accuracy": 0.9}),
            made(accuracy=0.8999999),
            None,
            "accuracy 0.8999999 (at least 0.9)",
        ),
        (
            Gates(better_than="champion"),
            made(accuracy=0.9),
            made(accuracy=0.9),
            "accuracy 0.9 (better than 0.9 of toy@champion)",
        ),
        (
            Gates(better_than="champion", metric="mae"),
            made(mae=0.6),
            made(mae=0.5),
            "mae 0.6 (better than 0.5 of toy@champion)",
        ),
        (
            Gates(at_least={"accuracy": 0.9, "f1": 0.5}),
            made(accuracy=0.1, f1=0.2),
            None,
            "accuracy 0.1 (at least 0.9); f1 0.2 (at least 0.5)",
        ),
    ],
)
def test_a_refusal_names_value_and_bound(
    gates: Gates, ours: Evaluation, rival: Evaluation | None, said: str
) -> None:
    with pytest.raises(GateRefused) as refusal:
        judge("toy", gates, ours, rival)
    assert said in refusal.value.message
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize(
    ("value", "bounds", "said"),
    [
        (0.42345, {"at_most": 1.0}, "rmse 0.423 (at most 1)"),
        (0.91234, {"at_least": 0.85}, "rmse 0.912 (at least 0.85)"),
        (0.91234, {"at_least": 0.8523}, "rmse 0.9123 (at least 0.8523)"),
        (1.0002, {"at_most": 1.0}, "rmse 1.0002 (at most 1)"),
        (1.00000000001, {"at_most": 1.0}, "rmse 1.00000000001 (at most 1)"),
        (0.95832, {"at_least": 0.9585}, "rmse 0.9583 (at least 0.9585)"),
        (1.0, {"at_most": 1.0}, "rmse 1 (at most 1)"),
        (1234.5, {"at_most": 1234.0}, "rmse 1234.5 (at most 1234)"),
        (0.5, {"at_least": 0.25, "at_most": 1.0}, "rmse 0.5 (at least 0.25, at most 1)"),
        (0.66666666, {}, "rmse 0.667"),
    ],
)
def test_a_figure_and_its_bound_are_rounded_alike_and_as_far_as_tells_them_apart(
    value: float, bounds: dict[str, float], said: str
) -> None:
    assert beside("rmse", value, **bounds) == said


def test_a_gate_on_a_metric_that_is_not_there_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="has no metric 'recall'") as error:
        judge("toy", Gates(at_least={"recall": 0.5}), made(accuracy=1.0, f1=1.0), None)
    assert error.value.hint == "it has accuracy, f1"
    with pytest.raises(UsageError, match="toy@champion has no metric"):
        judge("toy", Gates(better_than="champion", metric="f1"), made(f1=1.0), made(accuracy=1.0))


def test_a_metric_that_is_not_there_is_refused_for_the_first_version_too() -> None:
    with pytest.raises(UsageError, match="acuracy"):
        judge("toy", Gates(better_than="champion", metric="acuracy"), made(accuracy=1.0), None)


def test_the_metric_compared_is_the_named_one_then_the_gated_one_then_the_main_one() -> None:
    ours = made(accuracy=1.0, f1=0.5, cost=2.0)
    assert compared(Gates(metric="cost"), ours) == "cost"
    assert compared(Gates(at_most={"cost": 3}), ours) == "cost"
    assert compared(Gates(), ours) == "accuracy"
    with pytest.raises(UsageError, match="no metric to compare by"):
        compared(Gates(), made(own=1.0))
