"""`search`: trials of an objective as steps of a pipeline, chosen by what earlier trials brought.

The loop keeps one trial waiting for room. When its steps begin there may be more room, so the next trial is asked for.
Every trial is on record before its steps are. A repeated pipeline takes the same parameters again, and asks for a new
trial only after the last one on record.
"""

from collections.abc import Callable, Mapping
from typing import cast

from fairway.author.cancelling import steps_of
from fairway.author.ref import value
from fairway.author.session import PipelineSession, current
from fairway.author.task import Task
from fairway.spec.errors import StepFailed, UsageError
from fairway.spec.trials import TrialAsked
from fairway.spec.wire import Happened
from fairway.tuning import reporting
from fairway.tuning.space import Space, fits, meant, parse
from fairway.tuning.study import Study
from fairway.tuning.trials import Goal, Search, Trial, goal_of, measured

_FIRST_FAILURES = 3
"""The number of trials that may fail before any has a score. After that the objective itself is taken to be wrong."""


def search(
    objective: Callable[..., object],
    space: Mapping[str, object],
    *,
    trials: int = 60,
    sampler: object = "tpe",
    pruner: object = "asha",
    seed: int = 0,
    metric: str = "",
    goal: Goal = "",
    parallel: int = 0,
    name: str = "",
    **common: object,
) -> Search:
    """Search the parameters with the best score. Call it in a pipeline. It returns when all trials are over.

    Each trial calls the objective with parameters out of the space. The steps that this starts run in parallel, as far
    as there is room. Optuna chooses the parameters from the scores of the trials that are over. A resumed run keeps
    every trial that it had.

    Args:
        objective: a task, or a function that calls tasks and returns the result of one. The score is what it returns:
            a number, an evaluation, a dict of metrics, or the last element of a tuple.
        space: what each parameter may be: `[…]` for a choice, `(1, 10)`, `(1e-4, 1e-1, "log")`, `(0, 1, 0.1)` or
            `range(2, 9)` for numbers. Both ends of a tuple are possible.
        trials: the number of trials.
        sampler: "tpe" learns from earlier trials, "random" does not, and "grid" tries every point of the space. A
            sampler of Optuna is taken too.
        pruner: "asha", "median", "hyperband" or "none", or a pruner of Optuna. It gives trials up that are behind others
            in what they log by `fw.log(step=…)`.
        seed: the number that the random choices come from.
        metric: the metric of an evaluation or dict that is the score. Values that are logged by this name are what the
            pruner compares.
        goal: "maximize" or "minimize". The default is what the metric's name says, and otherwise "maximize".
        parallel: the most trials at a time. The default is as many as there is room for, up to a fifth of the trials,
            because a choice learns only from trials that are over.
        name: the name of the search. The default is the objective's name.
        common: further arguments that every trial gets, by name, such as `data=data`.

    Returns:
        the trials, best first, with `best`, `table` and `importance`.

    Raises:
        StepFailed: no trial has a score. It is the failure of the first.
        UsageError: the space or a setting does not have the form it must have.
    """
    if not callable(objective):
        raise UsageError(f"search: the objective {objective!r} is no task and no function")
    if goal not in ("", "maximize", "minimize"):
        raise UsageError(f"search: there is no goal {goal!r}", hint="maximize or minimize")
    parsed = parse(space)
    if both := common.keys() & parsed.keys():
        raise UsageError(f"search: {min(both)} is in the space, and given for every trial too")
    study = Study(parsed, sampler, pruner, seed)
    count = study.most(_positive("trials", trials))
    title = name or _name_of(objective)
    session = current()
    loop = _Searching(parsed, study, lambda given: objective(**given, **common), metric, goal)
    if session is None or not session.pipeline:
        return loop.alone(title, count)
    if not isinstance(session, PipelineSession):
        return reporting.reported(loop.alone(title, count), loop.metric)
    learns = sampler not in ("random", "grid")
    most = _positive("parallel", parallel) if parallel else max(4, count // 5) if learns else count
    found = loop.in_steps(session, title, count, most)
    return reporting.reported(found, loop.metric)


class _Searching:
    """A search under way."""

    def __init__(
        self,
        space: Space,
        study: Study,
        call: Callable[[dict[str, object]], object],
        metric: str,
        goal: Goal,
    ) -> None:
        self._space = space
        self._study = study
        self._call = call
        self.metric = metric
        self._goal: Goal = goal
        self._trials: list[Trial] = []
        self._logged: set[str] = set()
        self._failures = 0
        self._scored = False
        self._scoring = ""

    def alone(self, name: str, count: int) -> Search:
        """Run one trial after the other, where nothing follows steps while they run."""
        while len(self._trials) < count:
            trial = self._next(self._study.ask(len(self._trials) + 1))
            try:
                trial.result = self._call(dict(trial.parameters))
                value(trial.result)
            except StepFailed as error:
                self._fail(trial, error.message)
            else:
                self._measure(trial)
            self._refuse_hopeless(trial)
        return self._found(name)

    def in_steps(self, session: PipelineSession, name: str, count: int, most: int) -> Search:
        """Run the trials as steps, at most `most` at a time."""
        name, asked = session.search(name)
        following = _Following(session)
        for earlier in asked[:count]:
            if earlier.number != len(self._trials) + 1 or not fits(self._space, earlier.parameters):
                break
            self._study.take(earlier.number, earlier.parameters)
            self._start(following, earlier.parameters)
        open_trials = sum(1 for one in self._trials if one.fate == "running")
        while True:
            while len(self._trials) < count and open_trials < most and not following.waiting:
                number = len(self._trials) + 1
                parameters = self._study.ask(number)
                session.ask(TrialAsked(search=name, number=number, parameters=parameters))
                open_trials += self._start(following, parameters)
            if not open_trials:
                return self._found(name)
            for number, news in following.news():
                open_trials -= self._take_news(session, following, self._trials[number - 1], news)

    def _start(self, following: "_Following", parameters: Mapping[str, int | float]) -> int:
        """Start the steps of a trial. Return 1 if it is under way then, and 0 if it failed at once."""
        trial = self._next(parameters)
        try:
            trial.result = self._call(dict(trial.parameters))
            steps = steps_of(trial.result)
        except StepFailed as error:
            # The objective waited for one of its own steps, and that failed.
            self._fail(trial, error.message)
            return 0
        except UsageError as error:
            if trial.result is None:
                raise
            raise UsageError(
                f"search: the objective returned {trial.result!r}, which is no result of a task",
                hint=error.hint,
            ) from None
        following.add(trial.number, steps)
        return 1

    def _next(self, parameters: Mapping[str, int | float]) -> Trial:
        given = {name: meant(self._space[name], number) for name, number in parameters.items()}
        trial = Trial(len(self._trials) + 1, given)
        self._trials.append(trial)
        return trial

    def _take_news(
        self, session: PipelineSession, following: "_Following", trial: Trial, news: Happened
    ) -> int:
        """Take news of a step of a trial. Return 1 if the trial is over by that."""
        if trial.fate != "running":
            return 0
        for point in news.points:
            if not trial.why and self._report(trial, point.name, point.index, point.value):
                trial.why = f"pruned at step {point.index:g} with {point.name} {point.value:.6g}"
                session.cancel(following.steps(trial.number), trial.why)
        if news.failure is not None and news.failure.reason is news.failure.reason.GIVEN_UP:
            trial.fate, trial.why = "pruned", news.failure.message
            self._study.end(trial.number, None, pruned=True)
            return 1
        if news.failure is not None:
            self._fail(trial, news.failure.message)
            self._refuse_hopeless(trial)
            return 1
        if not news.ended or not following.done(trial.number):
            return 0
        self._measure(trial)
        self._refuse_hopeless(trial)
        return 1

    def _report(self, trial: Trial, name: str, index: float, logged: float) -> bool:
        """Report a logged value to the pruner. Return True if the trial should be given up."""
        self._logged.add(name)
        compared = self.metric or (name if len(self._logged) == 1 else "")
        # Several metrics without a choice among them: trials are compared by none of them.
        if name != compared or index != int(index) or index < 0:
            return False
        trial.score = logged
        goal = self._goal if name == self.metric and self._goal else goal_of(name, self._goal)
        sign = -1 if goal == "minimize" else 1
        return self._study.report(trial.number, int(index), sign * logged)

    def _measure(self, trial: Trial) -> None:
        result = trial.result
        last = cast("tuple[object, ...]", result)[-1] if isinstance(result, tuple) else result
        try:
            trial.score, self._scoring = measured(value(last), self.metric)
        except (ValueError, AttributeError) as error:
            self._fail(trial, str(error))
            return
        self._goal = self._goal or (goal_of(self._scoring, "") if self._scoring else "")
        trial.fate, trial.why, self._scored = "done", "", True
        self._study.end(trial.number, -trial.score if self._goal == "minimize" else trial.score)

    def _fail(self, trial: Trial, why: str) -> None:
        trial.fate, trial.score, trial.why = "failed", None, why
        self._failures += 1
        self._study.end(trial.number, None)

    def _refuse_hopeless(self, trial: Trial) -> None:
        """Raise the failure of a trial if no trial has had a score so far."""
        if trial.fate == "failed" and not self._scored and self._failures >= _FIRST_FAILURES:
            value(trial.result)
            raise StepFailed(f"search: trial {trial.number} has no score: {trial.why}")

    def _found(self, name: str) -> Search:
        if not self._scored:
            first = min(self._trials, key=lambda one: (one.fate != "failed", one.number))
            value(first.result)
            raise StepFailed(f"search: no trial has a score, trial {first.number}: {first.why}")
        for trial in self._trials:
            if trial.fate == "pruned" and self._scoring and {self._scoring} != self._logged:
                trial.score = None  # It is the value of another metric, and nobody should compare the two.
        return Search(name, self._trials, self._goal, self._study.importance())


class _Following:
    """The steps of the trials, and which of them the search waits for."""

    def __init__(self, session: PipelineSession) -> None:
        self._session = session
        self._trial_of: dict[str, int] = {}
        self._steps: dict[int, set[str]] = {}
        self._open: dict[int, set[str]] = {}
        self._new: list[str] = []
        self.waiting: set[int] = set()

    def add(self, number: int, steps: list[str]) -> None:
        """Follow the steps of a trial."""
        self._steps[number], self._open[number] = set(steps), set(steps)
        for step in steps:
            self._trial_of[step] = number
        self._new += steps
        self.waiting.add(number)

    def steps(self, number: int) -> tuple[str, ...]:
        """Return the steps of a trial."""
        return tuple(sorted(self._steps[number]))

    def done(self, number: int) -> bool:
        """Tell whether all steps of a trial are over."""
        return not self._open[number]

    def news(self) -> list[tuple[int, Happened]]:
        """Wait for news. Return it with the numbers of the trials."""
        new, self._new = tuple(self._new), []
        found: list[tuple[int, Happened]] = []
        for one in self._session.watch(new):
            number = self._trial_of[one.step]
            if one.begun or one.ended:
                self.waiting.discard(number)
            if one.ended:
                self._open[number].discard(one.step)
            found.append((number, one))
        return found


def _name_of(objective: Callable[..., object]) -> str:
    return str(
        objective.__name__ if isinstance(objective, Task) else getattr(objective, "__name__", "search")
    )


def _positive(what: str, count: object) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UsageError(f"search: {what}={count!r} is no number of trials", hint="a whole number from 1")
    return count
