"""The scores of trials, and their order."""

import pytest

from fairway.evaluation import evaluate
from fairway.tuning.reporting import history, table_text
from fairway.tuning.trials import Search, Trial, goal_of, measured


def trial(number: int, score: float | None, fate: str = "done") -> Trial:
    made = Trial(number, {"depth": number})
    made.score, made.fate = score, fate  # type: ignore[assignment]
    return made


def test_a_score_is_a_number_an_evaluation_a_metric_or_the_last_of_a_tuple() -> None:
    report = evaluate([1, 0, 1, 1], [1, 0, 0, 1])
    assert measured(0.5, "") == (0.5, "")
    assert measured(report, "") == (0.75, "accuracy")
    assert measured(report, "recall") == (report.recall, "recall")
    assert measured({"auc": 0.9, "loss": 2}, "loss") == (2.0, "loss")
    assert measured(("a model", report), "") == (0.75, "accuracy")


@pytest.mark.parametrize(
    "returned", [None, "high", float("nan"), float("inf"), [], {"a": 1, "b": 2}, {"a": "x"}]
)
def test_what_is_no_score_is_said(returned: object) -> None:
    with pytest.raises(ValueError, match=r"score|metrics"):
        measured(returned, "")


def test_the_name_of_a_metric_tells_the_goal() -> None:
    assert goal_of("rmse", "") == "minimize"
    assert goal_of("val_loss", "") == "minimize"
    assert goal_of("accuracy", "minimize") == "maximize"
    assert goal_of("reward", "") == "maximize"
    assert goal_of("cost", "minimize") == "minimize"


def test_the_best_trial_comes_first_and_failed_ones_last() -> None:
    trials = [trial(1, 3), trial(2, 9, "pruned"), trial(3, None, "failed"), trial(4, 5), trial(5, 5)]
    assert [one.number for one in Search("s", trials, "maximize").trials] == [4, 5, 1, 2, 3]
    assert [one.number for one in Search("s", trials, "minimize").trials] == [1, 4, 5, 2, 3]


def test_a_search_is_told_in_lines_and_drawn() -> None:
    found = Search("train", [trial(1, 0.5), trial(2, 0.75), trial(3, None, "failed")], "maximize")
    assert table_text(found, 2) == (
        "train: 3 trials, 1 failed, best 0.75\n  trial  score  fate  depth\n  2      0.75   done  2\n  1      0.5    done  1"
    )
    assert history(found).startswith("<svg")
    assert found.table[0] == {"trial": 2, "score": 0.75, "fate": "done", "depth": 2}
