"""The study of a search: the same proposals from the same results, whatever the order in which trials ended."""

import random

import pytest

from fairway.spec.errors import UsageError
from fairway.tuning import study as study_module
from fairway.tuning.space import parse
from fairway.tuning.study import Study

SPACE = {"x": (0.0, 1.0), "y": (1, 50, "log"), "kind": ["a", "b", "c"]}


def score(parameters: dict[str, int | float]) -> float:
    return -((parameters["x"] - 0.3) ** 2) - 0.01 * abs(parameters["y"] - 7)


def proposals(order_of_ends: random.Random, *, recorded: int = 0) -> list[dict[str, int | float]]:
    """Ask for 24 trials, four at a time, whose ends come in some order. The first ones may be on record."""
    study, asked = Study(parse(SPACE), "tpe", "none", 5), []
    known = proposals(random.Random(0)) if recorded else []
    for first in range(1, 25, 4):
        four = list(range(first, first + 4))
        for number in four:
            if number <= recorded:
                study.take(number, known[number - 1])
                asked.append(known[number - 1])
            else:
                asked.append(study.ask(number))
        order_of_ends.shuffle(four)
        for number in four:
            study.end(number, score(asked[number - 1]))
    return asked


def test_a_proposal_depends_on_what_was_told_and_not_on_the_order() -> None:
    assert proposals(random.Random(1)) == proposals(random.Random(2))


@pytest.mark.parametrize("recorded", [4, 16, 24])
def test_a_search_that_is_taken_up_goes_on_as_if_it_had_never_stopped(recorded: int) -> None:
    assert proposals(random.Random(3), recorded=recorded) == proposals(random.Random(4))


def test_the_proposals_are_those_of_the_sampler_of_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = proposals(random.Random(5))
    monkeypatch.setattr(study_module, "_sampler_of_one_space", lambda kind: kind)
    assert proposals(random.Random(5)) == ours
    assert len({tuple(one.values()) for one in ours}) == 24


@pytest.mark.parametrize("space", [SPACE, {"x": (0.0, 1.0), "fixed": [3]}])
def test_the_space_of_earlier_trials_is_inferred_once(
    monkeypatch: pytest.MonkeyPatch, space: dict[str, object]
) -> None:
    import optuna

    seen: list[int] = []
    infer = optuna.samplers.TPESampler.infer_relative_search_space

    def counted(self: object, one: object, trial: object) -> object:
        found = infer(self, one, trial)  # type: ignore[arg-type]
        seen.append(len(found))
        return found

    monkeypatch.setattr(optuna.samplers.TPESampler, "infer_relative_search_space", counted)
    study = Study(parse(space), "tpe", "none", 0)
    for number in range(1, 21):
        study.end(number, study.ask(number)["x"])
    assert seen == [0, seen[-1]]


def test_another_seed_gives_other_trials() -> None:
    one, other = (Study(parse(SPACE), "random", "none", seed) for seed in (1, 2))
    assert one.ask(1) != other.ask(1)


def test_a_grid_is_every_point_once() -> None:
    study = Study(parse({"x": (0, 1, 0.5), "y": range(2), "kind": ["a", "b"]}), "grid", "none", 0)
    asked = [study.ask(number) for number in range(1, study.most(100) + 1)]
    assert len(asked) == len({tuple(one.values()) for one in asked}) == 3 * 2 * 2
    assert study.most(5) == 5


def test_a_grid_needs_distances_and_an_end() -> None:
    with pytest.raises(UsageError, match="needs the values of x"):
        Study(parse({"x": (0.0, 1.0)}), "grid", "none", 0)
    with pytest.raises(UsageError, match="points"):
        Study(parse({"x": (1, 200), "y": (1, 200)}), "grid", "none", 0)


@pytest.mark.parametrize(
    ("sampler", "pruner"), [("tpee", "asha"), ("tpe", "hyper"), (3, "asha"), ("tpe", None)]
)
def test_an_unknown_sampler_or_pruner_is_refused_with_the_known_ones(sampler: object, pruner: object) -> None:
    with pytest.raises(UsageError, match="there is no") as refused:
        Study(parse(SPACE), sampler, pruner, 0)
    assert "one of" in refused.value.hint


def test_a_trial_that_is_far_behind_is_to_be_given_up() -> None:
    study = Study(parse({"x": (0.0, 1.0)}), "random", "median", 0)
    for number in range(1, 9):
        study.ask(number)
        assert not any(study.report(number, step, 1.0) for step in range(3))
        study.end(number, 1.0)
    study.ask(9)
    assert study.report(9, 0, 0.1)
    study.end(9, None, pruned=True)


def test_the_parameter_that_matters_is_the_most_important() -> None:
    study = Study(parse({"x": (0.0, 1.0), "y": (0.0, 1.0)}), "random", "none", 0)
    assert study.importance() == {}
    for number in range(1, 61):
        study.end(number, study.ask(number)["x"])
    found = study.importance()
    assert found["x"] > 0.8 > found["y"]
