"""One attempt, from its order to its record and its messages, over a real connection and a real store."""

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fairway.author import redaction, session
from fairway.author.task import Task, task
from fairway.runner import attempt, processes
from fairway.runner.channel import Channel
from fairway.runner.values import Values
from fairway.spec.artifact import Artifact, RefData
from fairway.spec.errors import StepFailed
from fairway.spec.host import THREAD_VARIABLES, StorePlace
from fairway.spec.model import Candidate, Gates
from fairway.spec.run import Reason, StepResult
from fairway.spec.wire import (
    DRIVER,
    REGISTER,
    Call,
    Committed,
    FromChild,
    Returned,
    Revealed,
    Splitter,
    Start,
    decode_from_child,
    revealed,
)
from fairway.stores import Layout
from fairway.stores.opening import open_store

MISSING = Artifact(format="json", digest="0" * 64, size=5000)
"""An input whose content is not in the store."""

calls: list[object] = []


@task
def double(n: int) -> int:
    calls.append(n)
    return 2 * n


@task
def draw() -> list[float]:
    return [random.random(), float(np.random.random())]


@task
def fail() -> None:
    raise ValueError("no such table")


@task
def lock() -> object:
    return threading.Lock()


class Slow:
    """A value that takes a while to be stored."""

    def __init__(self, broken: bool) -> None:
        self.broken = broken

    def __reduce__(self) -> tuple[object, tuple[bool]]:
        time.sleep(0.2)
        return None if self.broken else (Slow, (False,))  # type: ignore[return-value]


@task
def slow(broken: bool) -> object:
    return Slow(broken)


@task
def split(n: int) -> tuple[int, str]:
    return n, "one" if n else ["one"]  # type: ignore[return-value]


@task
def give(result: object) -> object:
    return result


@task
def every(a: int, /, *rest: int, b: int = 0, **more: int) -> list[object]:
    return [a, rest, b, more]


@task
def stop() -> None:
    raise processes.Terminated


@task
def threads() -> list[str | None]:
    return [os.environ.get(name) for name in THREAD_VARIABLES]


@task
def reveal() -> None:
    redaction.know("TOKEN", "a-value-of-a-secret")


@task
def mode() -> bool:
    current = session.current()
    assert current is not None
    return current.pipeline


def main(n: int) -> object:
    current = session.current()
    assert current is not None
    assert current.pipeline
    return double(n)


def broken() -> None:
    raise StepFailed("there is no data", hint="fetch it")


def stopped() -> None:
    raise processes.Terminated


TASKS = (double, draw, fail, lock, slow, split, give, every, stop, threads, reveal, mode)


class Declared:
    """A project with the tasks and pipelines of this file."""

    def task(self, name: str) -> Task[..., object] | None:
        return {one.spec.name: one for one in TASKS}.get(name)

    def pipeline(self, name: str) -> Callable[..., object]:
        return {one.__name__: one for one in (main, broken, stopped)}[name]


class Ground:
    """A store, and a way to run attempts with it."""

    def __init__(self, root: Path) -> None:
        Layout(root).prepare()
        self.root = root
        self.store = open_store(StorePlace(str(root)))
        self.values = Values(self.store.artifacts)
        self.messages: list[FromChild | Revealed] = []

    def run(self, task: str, step: str = "", inputs: dict[str, Any] | None = None, **order: Any) -> int:
        """Run an attempt, keep its messages and return its exit status. An input may be an artifact already."""
        nodes = {
            name: value if isinstance(value, Artifact) else self.values.to_node(value)
            for name, value in (inputs or {}).items()
        }
        start = {"run": "r1", "attempt": 1, "inputs": nodes, **order}
        store = self.store
        near, far = socket.socketpair()
        with near, far:
            place = attempt.Workplace(Declared(), store.artifacts, store.results, False, store.place)
            try:
                return attempt.run(Start(task=task, step=step or task, **start), Channel(near), place)
            finally:
                near.shutdown(socket.SHUT_WR)
                received = b"".join(iter(lambda: far.recv(1 << 16), b""))
                self.messages = [revealed(one) or decode_from_child(one) for one in Splitter().feed(received)]

    def record(self, step: str, run: str = "r1", attempt: int = 1) -> StepResult:
        """Return the record of an attempt."""
        found = self.store.results.read(run, step, attempt)
        assert found is not None
        return found

    def output(self, step: str, **which: Any) -> object:
        """Return the value that an attempt has left."""
        return self.values.from_node(self.record(step, **which).outputs[0])

    def reason(self, step: str) -> Reason:
        """Return the reason why an attempt failed."""
        failure = self.record(step).failure
        assert failure is not None
        assert self.record(step).outputs == ()
        return failure.reason


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """Gives a fresh store. What an attempt sets in its process is put back after the test."""
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    monkeypatch.delitem(sys.modules, "threadpoolctl", raising=False)
    before, own, numpys = session.enter(None), random.getstate(), np.random.get_state()
    calls.clear()
    yield Ground(tmp_path / "store")
    redaction.report_new(lambda name, value: None)
    redaction.forget()
    session.enter(before)
    random.setstate(own)
    np.random.set_state(numpys)


def test_the_value_of_a_task_is_put_on_record_and_reported(ground: Ground) -> None:
    assert ground.run("double", "double-2", {"n": 21}) == 0
    assert ground.output("double-2") == 42
    assert ground.messages == [Committed(result=ground.record("double-2"))]
    assert ground.record("double-2").usage.memory > 0


def test_a_record_tells_how_much_of_the_time_was_storing(ground: Ground) -> None:
    assert ground.run("slow", inputs={"broken": False}) == 0
    used = ground.record("slow").usage
    assert 0.2 <= used.storing <= used.wall
    ground.run("fail")
    assert ground.record("fail").usage.storing == 0.0, "nothing was stored"


def test_the_time_of_storing_is_told_although_it_failed(ground: Ground) -> None:
    ground.run("slow", inputs={"broken": True})
    assert ground.reason("slow") is Reason.RESULT
    assert ground.record("slow").usage.storing >= 0.2


def test_a_step_draws_the_same_random_numbers_in_every_attempt_and_every_run(ground: Ground) -> None:
    for run, number in (("r1", 1), ("r1", 2), ("r2", 1)):
        ground.run("draw", run=run, attempt=number)
    assert ground.output("draw") == ground.output("draw", attempt=2) == ground.output("draw", run="r2")


def test_two_steps_of_a_task_draw_different_random_numbers(ground: Ground) -> None:
    ground.run("draw", "draw")
    ground.run("draw", "draw-2")
    first, second = ground.output("draw"), ground.output("draw-2")
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_arguments_reach_parameters_of_every_kind(ground: Ground) -> None:
    ground.run("every", inputs={"a": 1, "rest": (2, 3), "b": 4, "more": {"c": 5}})
    assert ground.output("every") == [1, (2, 3), 4, {"c": 5}]


def test_code_sees_the_session_of_a_step(ground: Ground) -> None:
    ground.run("mode")
    assert ground.output("mode") is False


def test_an_input_that_cannot_be_loaded_fails_the_attempt_before_the_code_runs(ground: Ground) -> None:
    assert ground.run("double", inputs={"n": MISSING}) == 1
    assert ground.reason("double") is Reason.INPUT
    assert calls == []


def test_code_that_raises_leaves_a_record_with_its_own_error(ground: Ground) -> None:
    assert ground.run("fail") == 1
    failure = ground.record("fail").failure
    assert failure is not None
    assert (failure.reason, failure.message) == (Reason.USER, "ValueError: no such table")
    assert 'raise ValueError("no such table")' in failure.details
    assert ground.messages == [Committed(result=ground.record("fail"))]


def test_a_result_that_cannot_be_stored_is_the_reason_of_the_failure(ground: Ground) -> None:
    assert ground.run("lock") == 1
    assert ground.reason("lock") is Reason.RESULT


def test_a_task_that_the_project_does_not_have_fails_by_its_name(ground: Ground) -> None:
    assert ground.run("gone") == 1
    failure = ground.record("gone").failure
    assert failure is not None
    assert failure.message == "the project has no task 'gone'"


def test_each_element_of_a_declared_tuple_is_an_output_of_its_own(ground: Ground) -> None:
    assert ground.run("split", inputs={"n": 7}, outputs=2) == 0
    assert [ground.values.from_node(one) for one in ground.record("split").outputs] == [7, "one"]


@pytest.mark.parametrize(
    ("result", "described"), [((1, 2, 3), "3"), ([1], "1"), ("ab", "a str"), (None, "a NoneType")]
)
def test_a_result_with_another_number_of_elements_than_declared_is_refused(
    ground: Ground, result: object, described: str
) -> None:
    assert ground.run("give", inputs={"result": result}, outputs=2) == 1
    assert ground.reason("give") is Reason.RESULT
    failure = ground.record("give").failure
    assert failure is not None
    assert failure.message == f"give is declared to return 2 values and returned {described}"


def test_an_attempt_over_its_memory_is_out_of_memory_and_has_no_outputs(ground: Ground) -> None:
    assert ground.run("double", inputs={"n": 1}, memory=1) == 1
    assert ground.reason("double") is Reason.OOM


def test_an_attempt_within_its_memory_keeps_its_outputs(ground: Ground) -> None:
    assert ground.run("double", inputs={"n": 1}, memory=2**50) == 0
    assert ground.output("double") == 2


def test_memory_is_the_reason_even_if_the_code_raised_as_well(ground: Ground) -> None:
    assert ground.run("fail", memory=1) == 1
    assert ground.reason("fail") is Reason.OOM


def test_a_second_commit_of_an_attempt_reports_nothing_and_changes_nothing(ground: Ground) -> None:
    ground.run("double", inputs={"n": 1})
    assert ground.run("double", inputs={"n": 2}) == 0
    assert ground.messages == []
    assert ground.output("double") == 2


def test_a_record_that_cannot_be_stored_is_reported_with_its_reason(ground: Ground) -> None:
    (ground.root / "runs").rmdir()
    (ground.root / "runs").write_text("in the way")
    assert ground.run("double", inputs={"n": 1}) == 1
    [message] = ground.messages
    assert isinstance(message, Returned)
    assert message.failure is not None
    assert message.failure.reason is Reason.RESULT


def test_an_attempt_that_is_asked_to_end_leaves_neither_record_nor_message(ground: Ground) -> None:
    with pytest.raises(processes.Terminated):
        ground.run("stop")
    assert ground.store.results.read("r1", "stop", 1) is None
    assert ground.messages == []


def test_numeric_libraries_get_the_cores_that_the_step_asked_for(ground: Ground) -> None:
    ground.run("threads", cpu=3.5)
    assert ground.output("threads") == ["3"] * len(THREAD_VARIABLES)


def test_a_step_with_less_than_a_core_gets_one_thread(ground: Ground) -> None:
    ground.run("threads", cpu=0.25)
    assert ground.output("threads") == ["1"] * len(THREAD_VARIABLES)


def test_a_secret_that_the_code_gets_is_named_to_the_host_at_once(ground: Ground) -> None:
    ground.run("reveal")
    assert ground.messages == [
        Revealed(name="TOKEN", value="a-value-of-a-secret"),
        Committed(result=ground.record("reveal")),
    ]


def test_the_step_of_register_packages_its_model(ground: Ground) -> None:
    inputs = {
        "name": "churn",
        "model": SimpleNamespace(rate=0.5),
        "evaluation": None,
        "sample": None,
        "description": "the first",
        "gates": Gates(),
        "aliases": ["champion"],
    }
    assert ground.run(REGISTER, inputs=inputs) == 0
    candidate = ground.output(REGISTER)
    assert isinstance(candidate, Candidate)
    assert (candidate.name, candidate.aliases, candidate.description) == ("churn", ("champion",), "the first")
    assert ground.values.from_node(candidate.artifact) == SimpleNamespace(rate=0.5)


def test_a_driver_returns_what_its_pipeline_returns_and_leaves_no_record(ground: Ground) -> None:
    assert ground.run("main", DRIVER, {"n": 1}) == 0
    called, returned = ground.messages
    assert isinstance(called, Call)
    assert returned == Returned(result=RefData("double"))
    assert ground.store.results.read("r1", DRIVER, 1) is None
    assert calls == []


def test_a_driver_returns_the_failure_of_its_pipeline(ground: Ground) -> None:
    assert ground.run("broken", DRIVER) == 1
    [message] = ground.messages
    assert isinstance(message, Returned)
    assert message.failure is not None
    assert (message.failure.message, message.failure.hint) == ("there is no data", "fetch it")
    assert message.result is None


def test_a_driver_whose_inputs_cannot_be_loaded_returns_a_failure(ground: Ground) -> None:
    assert ground.run("main", DRIVER, {"n": MISSING}) == 1
    [message] = ground.messages
    assert isinstance(message, Returned)
    assert message.failure is not None
    assert calls == []


def test_a_driver_that_is_asked_to_end_returns_nothing(ground: Ground) -> None:
    with pytest.raises(processes.Terminated):
        ground.run("stopped", DRIVER)
    assert ground.messages == []
