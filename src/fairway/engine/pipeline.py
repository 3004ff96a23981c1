"""The process of a run's pipeline.

It is begun, its questions are answered, and it is begun again when it is lost. It is over once the function returned.
"""

from collections.abc import Callable

from fairway.engine import failures
from fairway.engine.hosts import MOST_LOSSES, Hosts
from fairway.engine.journal import Journal
from fairway.plan.cachekey import resolved
from fairway.plan.driver import Conclude
from fairway.plan.run import RunState
from fairway.ports import Host
from fairway.spec.artifact import Node, RefData, walk
from fairway.spec.event import AttemptStarted, RunEnded
from fairway.spec.places import Place
from fairway.spec.run import Failure, Phase, RunSpec
from fairway.spec.wire import DRIVER, Answer, Await, Exited, Returned, Start


class Pipeline:
    """The run of the pipeline's function on the host at `home`."""

    def __init__(self, spec: RunSpec, home: Place, state: RunState, hosts: Hosts, journal: Journal) -> None:
        self.result: Node | None = None
        self._spec = spec
        self._home = home
        self._state = state
        self._hosts = hosts
        self._journal = journal
        self._questions: dict[str, list[Await]] = {}
        self.repeated: Callable[[], None] = lambda: None

    @property
    def host(self) -> Host | None:
        """The host that runs the pipeline; None while it waits for a host, and after it is over."""
        return self._hosts.running(DRIVER, self._state.driver.attempt)

    def begin(self) -> None:
        """Begin the pipeline, for the first time or again. A repeated pipeline repeats its calls and gets the same answers."""
        attempt = self._state.driver.begin()
        if attempt > 1:
            self.repeated()
            # The new attempt repeats metrics and pictures. With this event, a reader of the log takes them for the same ones.
            self._journal.record(AttemptStarted(attempt, place=self._home.name), DRIVER)
        if self._home.outlives:
            self._journal.when_durable(lambda: self._find_host(attempt))
        else:
            self._find_host(attempt)

    def ask(self, question: Await) -> None:
        """Answer the question for a step's value, now or when the step is over."""
        if self._state.steps[question.step].phase.ended:
            self._answer(question)
        else:
            self._questions.setdefault(question.step, []).append(question)

    def settled(self, step: str) -> None:
        """Answer the waiting questions for a step that is over now."""
        for question in self._questions.pop(step, ()):
            self._answer(question)

    def outcome(self, conclusion: Conclude) -> RunEnded:
        """Return the end of the run with what the function returned.

        The function may have returned the result of a step that has none, because it gave the step up, or because it
        handled the failure that the step came from.
        """
        result = self.result
        if conclusion.phase is not Phase.SUCCEEDED or result is None:
            return RunEnded(conclusion.phase, conclusion.failure)
        steps = [self._state.steps[leaf.step] for leaf in walk(result) if isinstance(leaf, RefData)]
        lost = next((step for step in steps if step.phase is not Phase.SUCCEEDED), None)
        if lost is not None:
            return RunEnded(Phase.FAILED, failures.nothing_to_return(lost.name, lost.failure))
        return RunEnded(conclusion.phase, conclusion.failure, resolved(result, self._state.resolve))

    def send(self, answer: Answer) -> None:
        """Send an answer to the pipeline's function, if it runs."""
        if self.host is not None:
            self.host.send(answer)

    def cancel(self) -> None:
        """Count the pipeline as over if it runs nowhere, because then no process can report that it ended."""
        if self.host is None:
            self._state.driver.returned(None)

    def exited(self, message: Exited, words: Returned | None) -> None:
        """Handle the end of the pipeline's process; `words` are its return, if it got that far."""
        driver = self._state.driver
        again = driver.killed()
        if words is not None:
            self._returned(words)
        elif self._state.cancelling:
            driver.returned(None)
        elif failures.killed_from_outside(message.ended) and again:
            self.begin()
        else:
            driver.returned(failures.without_record(message.ended, message.usage, None))

    def lost(self, failure: Failure, words: Returned | None) -> None:
        """Handle the loss of the pipeline's host: begin again, unless the pipeline returned before.

        After its return the steps go on without it.
        """
        driver = self._state.driver
        self._questions.clear()  # The attempt that asked is gone. The next attempt asks again.
        if words is not None:
            self._returned(words)
        elif self._state.cancelling:
            driver.returned(None)
        elif self._hosts.lost_too_many:
            driver.returned(failures.too_many_lost(MOST_LOSSES))
        elif failure.reason.is_loss or driver.killed():
            self.begin()
        else:
            driver.returned(failure)

    def _returned(self, words: Returned) -> None:
        self.result = words.result
        self._state.driver.returned(words.failure)

    def _find_host(self, attempt: int) -> None:
        home = self._hosts.at(self._home)
        if home is None:
            self._hosts.need(self._home, lambda found: self._hand_over(attempt, found))
        else:
            self._hand_over(attempt, home)

    def _hand_over(self, attempt: int, host: Host | Failure) -> None:
        driver = self._state.driver
        if driver.over or driver.attempt != attempt:
            return
        if isinstance(host, Failure):
            driver.returned(host)
            return
        self._hosts.assign(DRIVER, attempt, host)
        repeats = self._spec.repeats
        host.send(
            Start(
                run=self._spec.name,
                step=DRIVER,
                attempt=attempt,
                task=self._spec.pipeline,
                inputs=dict(self._spec.parameters),
                repeats=repeats.step if repeats is not None else None,
            )
        )

    def _answer(self, question: Await) -> None:
        step = self._state.steps[question.step]
        if step.failure is not None and not question.aside:
            self._state.driver.delivered(question.step)
        self.send(Answer(step=DRIVER, question=question.question, outputs=step.outputs, failure=step.failure))
