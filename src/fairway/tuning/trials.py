"""The trials of a search and what became of them, best first."""

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, cast

from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import Evaluation
from fairway.spec.metrics import METRICS

Fate = Literal["running", "done", "pruned", "failed"]
Goal = Literal["", "maximize", "minimize"]


class Trial:
    """A try of the objective.

    Attributes:
        number: the number of the trial, from 1.
        parameters: the values that the objective got, by name.
        result: what the objective returned, usually the result of a task. None if the objective returned nothing yet.
        score: the score. For a pruned trial it is the last one that it logged. None without one.
        fate: what became of it.
        why: the reason why it was pruned or failed.
    """

    def __init__(self, number: int, parameters: dict[str, object]) -> None:
        self.number = number
        self.parameters = parameters
        self.result: object = None
        self.score: float | None = None
        self.fate: Fate = "running"
        self.why = ""

    def __repr__(self) -> str:
        score = f"  score {self.score:.6g}" if self.score is not None else ""
        values = "  ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"trial {self.number}  {self.fate}{score}  {values}"


class Search:
    """The result of `fw.search`.

    Attributes:
        name: the name of the search in its run.
        trials: every trial, the best first. Pruned ones come after those that are done, and failed ones last.
        goal: "maximize" or "minimize".
        importance: the share of each parameter in the differences of the scores.
    """

    def __init__(
        self, name: str, trials: Sequence[Trial], goal: Goal, importance: Mapping[str, float] | None = None
    ) -> None:
        self.name = name
        self.goal: Goal = goal or "maximize"
        self.trials = sorted(trials, key=lambda one: _place(one, self.goal))
        self.importance = dict(importance or {})

    @property
    def best(self) -> Trial:
        """The best trial."""
        return self.trials[0]

    @property
    def table(self) -> list[dict[str, object]]:
        """Rows, one for each trial and the best first: its number, its score, its fate and its parameters."""
        return [
            {"trial": one.number, "score": one.score, "fate": one.fate, **one.parameters}
            for one in self.trials
        ]

    def frame(self) -> Any:
        """Return the table as a data frame of pandas, or of polars where there is no pandas. Raises FairwayError."""
        for library in ("pandas", "polars"):
            try:
                return import_module(library).DataFrame(self.table)
            except ImportError:
                continue
        raise FairwayError(
            "a data frame needs pandas or polars", hint="`pip install pandas`, or read `.table`"
        )

    def summary(self) -> str:
        """Return what became of the trials in a line."""
        fates = [one.fate for one in self.trials]
        counts = [f"{fates.count(fate)} {fate}" for fate in ("pruned", "failed") if fate in fates]
        score = f", best {self.best.score:.6g}" if self.best.score is not None else ""
        return ", ".join([f"{len(fates)} trials", *counts]) + score

    def __reduce__(self) -> tuple[object, ...]:
        # The results of all trials would travel along otherwise, and each would be loaded for that.
        return (list, (self.table,))

    def __repr__(self) -> str:
        return f"search {self.name}  {self.summary()}"


def measured(result: object, metric: str) -> tuple[float, str]:
    """Return the score in the value that an objective returned, and the name of its metric.

    Raises:
        ValueError: there is no score in it.
    """
    if isinstance(result, list | tuple):
        parts = cast("Sequence[object]", result)
        result = parts[-1] if parts else None
    if isinstance(result, Evaluation):
        name = metric or next((name for name in METRICS if name in result.metrics), "")
        return _finite(result.metric(name)), name
    if isinstance(result, dict):
        values = cast("dict[object, object]", result)
        name = metric or (str(next(iter(values))) if len(values) == 1 else "")
        if name not in values:
            raise ValueError(f"it has the metrics {', '.join(map(str, values))}: choose one with `metric=`")
        return _finite(values[name]), name
    return _finite(result), metric


def goal_of(metric: str, otherwise: Goal) -> Goal:
    """Return the goal that the name of a metric tells, or `otherwise` if it tells none."""
    if metric in METRICS:
        return "minimize" if METRICS[metric].lower_is_better else "maximize"
    return "minimize" if metric.endswith(("loss", "error")) else otherwise or "maximize"


def _finite(value: object) -> float:
    try:
        score = float(cast("float", value))
    except (TypeError, ValueError):
        raise ValueError(f"it returned a {type(value).__name__}, which is no score") from None
    if not math.isfinite(score):
        raise ValueError(f"its score is {score}")
    return score


def _place(trial: Trial, goal: Goal) -> tuple[int, float, int]:
    order = {"done": 0, "pruned": 1, "running": 2, "failed": 3}[trial.fate]
    score = trial.score if trial.score is not None else math.inf if goal == "minimize" else -math.inf
    return order, score if goal == "minimize" else -score, trial.number
