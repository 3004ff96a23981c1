"""The news of steps for a pipeline that follows them while they run, as a search over parameters does.

Only the values that steps logged are kept, and only in a run that asked for them. Everything else is in the state of
the run.
"""

from collections.abc import Callable

import msgspec

from fairway.plan.run import RunState
from fairway.spec.run import MetricPoint, RunStatus
from fairway.spec.trials import TrialAsked
from fairway.spec.wire import DRIVER, Answer, Happened, Recall, Watch


class Watching:
    """The steps that the pipeline of one run follows, and the trials of its searches.

    Args:
        send: sends an answer to the pipeline.
        before: the status of a run that is taken up.
    """

    def __init__(self, state: RunState, send: Callable[[Answer], None], before: RunStatus | None) -> None:
        self._state = state
        self._send = send
        self._before = before
        self._trials: dict[str, dict[int, TrialAsked]] = {}
        self._points: dict[str, list[MetricPoint]] | None = None
        self._watched: set[str] = set()
        self._news: list[Happened] = []
        self._question = 0
        for trial in before.trials if before is not None else ():
            self.asked(trial)

    def asked(self, trial: TrialAsked) -> bool:
        """Keep a trial. Return False if it is known."""
        known = self._trials.setdefault(trial.search, {})
        if known.get(trial.number) == trial:
            return False
        known[trial.number] = trial
        return True

    def recall(self, message: Recall) -> None:
        """Answer with the trials of a search, and keep what steps log from here on."""
        if self._points is None:
            steps = self._before.steps if self._before is not None else ()
            self._points = {step.spec.name: list(step.metrics) for step in steps if step.metrics}
        known = self._trials.get(message.search, {})
        trials = tuple(known[number] for number in sorted(known))
        self._send(Answer(step=DRIVER, question=message.question, trials=trials))

    def watch(self, message: Watch) -> None:
        """Follow further steps, and answer once there is news."""
        for name in message.steps:
            if name not in self._watched and name in self._state.steps:
                self._watched.add(name)
                self._catch_up(name)
        self._question = message.question
        self._answer()

    def begun(self, name: str) -> None:
        """Note that an attempt of a step was begun."""
        self._add(name, Happened(step=name, begun=True))

    def logged(self, name: str, points: tuple[MetricPoint, ...]) -> None:
        """Note that a step logged values."""
        if self._points is not None:
            self._points.setdefault(name, []).extend(points)
            self._add(name, Happened(step=name, points=points))

    def settled(self, name: str) -> None:
        """Note that a step is over."""
        if name in self._watched:
            self._add(name, self._end_of(name))

    def forget(self) -> None:
        """Forget who follows what, because the pipeline is repeated and asks again."""
        self._watched.clear()
        self._news.clear()
        self._question = 0

    def _catch_up(self, name: str) -> None:
        """Report what happened to a step before it was followed."""
        step = self._state.steps[name]
        points = tuple((self._points or {}).get(name, ()))
        if step.phase.ended:
            self._news.append(msgspec.structs.replace(self._end_of(name), points=points))
        elif points or step.running:
            self._news.append(Happened(step=name, begun=step.running, points=points))

    def _end_of(self, name: str) -> Happened:
        step = self._state.steps[name]
        return Happened(step=name, ended=True, outputs=step.outputs, failure=step.failure)

    def _add(self, name: str, news: Happened) -> None:
        if name in self._watched:
            self._news.append(news)
            self._answer()

    def _answer(self) -> None:
        if not self._question or not self._news:
            return
        question, self._question = self._question, 0
        news, self._news = tuple(self._news), []
        for one in news:
            if one.failure is not None:
                # From here on the pipeline is responsible for the failure, as if it had waited for the step.
                self._state.driver.delivered(one.step)
        self._send(Answer(step=DRIVER, question=question, happened=news))
