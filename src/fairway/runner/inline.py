"""The host in the process of the command: it runs the pipeline and its steps one after the other, with the terminal.

A debugger works there, because the code of the project runs in the main thread with the standard streams of the command. The
engine works in another thread. It sends the same orders as to any other host, and gets the same messages.
"""

import contextlib
import os
import random
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from queue import SimpleQueue

import msgspec

from fairway.author import code, session
from fairway.formats.warming import warm
from fairway.local import descent
from fairway.runner import attempt, debugging, processes
from fairway.runner.project import ImportedProject, bind, describe_project
from fairway.spec.errors import UsageError
from fairway.spec.host import THREAD_VARIABLES, HostSetup
from fairway.spec.run import Usage
from fairway.spec.wire import (
    DRIVER,
    Answer,
    Ask,
    Await,
    Bind,
    Call,
    Cause,
    Ended,
    Exited,
    FromChild,
    FromHost,
    Identified,
    Identify,
    Quit,
    Recall,
    Said,
    Start,
    Started,
    Stop,
    ToHost,
    Watch,
    frame,
)
from fairway.stores.opening import open_store


class InlineHost:
    """A host that carries out the orders of an engine in the thread that calls `serve`.

    Args:
        setup: the project and the store.
        call: calls the function of a step, such as under a debugger.
        trusted: False when the inputs of steps may be anybody's, so that reading them runs no code.
    """

    def __init__(self, setup: HostSetup, call: attempt.Caller, *, trusted: bool = True) -> None:
        self._setup = setup
        self._store = open_store(setup.store)
        self._call = call
        self._trusted = trusted
        self._orders: SimpleQueue[ToHost | None] = SimpleQueue()
        self._put_back: deque[ToHost] = deque()
        self._tell: Callable[[FromHost], None] = _nothing
        self._cancel: Callable[[], None] = lambda: None
        self._project: ImportedProject | None = None
        self._running: list[tuple[str, int]] = []
        self._stopped = False

    def send(self, message: ToHost) -> None:
        """Take an order of the engine, in any thread. An order to stop interrupts the code that runs."""
        self._orders.put(message)
        if isinstance(message, Stop) and self._running and not self._stopped:
            self._stopped = True
            os.kill(os.getpid(), signal.SIGINT)

    def connect(self, tell: Callable[[FromHost], None]) -> None:
        """Pass the messages of the host to an engine from now on, and import the project. Any thread may call this."""
        self._tell = tell
        self._orders.put(None)

    def when_interrupted(self, cancel: Callable[[], None]) -> None:
        """Call `cancel` when the person interrupts the code of the project, or leaves its debugger."""
        self._cancel = cancel

    def leave(self) -> None:
        """Let `serve` return, because the engine is gone."""
        self._orders.put(Quit())

    def serve(self) -> None:
        """Carry out orders until the engine has no more work."""
        # The same number of threads as in other hosts, because some libraries give other results with another number.
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
        with _ending_politely():
            while True:
                try:
                    order = self._next()
                    if isinstance(order, Quit):
                        return
                    if order is None:
                        self._import()
                    else:
                        self._carry_out(order)
                except KeyboardInterrupt:
                    self._interrupted()

    def _import(self) -> None:
        # The mark of a host keeps a project from starting runs while it is imported.
        with descent.Marked():
            self._project, described = describe_project(self._setup, self._store)
        warm()
        self._tell(described)

    def _interrupted(self) -> None:
        """Cancel the run. The code that runs gets no second interrupt for that."""
        if not self._stopped:
            self._stopped = True
            self._cancel()

    def _next(self) -> ToHost | None:
        return self._put_back.popleft() if self._put_back else self._orders.get()

    def _carry_out(self, order: ToHost) -> None:
        """Carry out an order that needs no answer from the person. Orders to stop have interrupted the code already."""
        assert self._project is not None
        if isinstance(order, Start):
            self._start(order)
        elif isinstance(order, Bind):
            self._tell(bind(self._project, self._store, order))
        elif isinstance(order, Identify):
            self._tell(Identified(digests={name: code.digest(name) for name in order.names}))

    def _start(self, start: Start) -> None:
        assert self._project is not None
        key = (start.step, start.attempt)
        used = _Used()
        self._tell(Started(step=start.step, attempt=start.attempt, pid=os.getpid()))
        place = attempt.Workplace(
            project=self._project,
            artifacts=self._store.artifacts,
            results=self._store.results,
            foreign=False,
            store=self._store.place,
            call=self._in_driver if start.step == DRIVER else self._call,
            usage=used.since,
            trusted=self._trusted,
        )
        channel = InlineChannel(self, start)
        ended = Ended()
        self._running.append(key)
        try:
            with _restored():
                # No limit of memory: this process holds more than the step.
                ended = Ended(code=attempt.run(msgspec.structs.replace(start, memory=0), channel, place))
        except (processes.Terminated, KeyboardInterrupt):
            ended = Ended(signal="SIGTERM", cause=Cause.STOP)
            self._interrupted()
        finally:
            self._running.remove(key)
        self._tell(Exited(step=start.step, attempt=start.attempt, ended=ended, usage=used.since(used.begun)))

    def _in_driver(self, function: Callable[[], object]) -> object:
        with debugging.leaving():
            return function()

    def forward(self, start: Start, message: FromChild) -> None:
        """Pass a message of the running code to the engine."""
        content = msgspec.Raw(frame(message)[4:])
        self._tell(Said(step=start.step, attempt=start.attempt, message=content))

    def answer(self, question: int) -> Answer:
        """Carry out orders until the answer to a question is there. Raises Terminated when the run is cancelled."""
        while True:
            order = self._next()
            if isinstance(order, Answer):
                # An answer to an earlier question may still come, if an exception ended the wait for it.
                if order.question == question:
                    return order
            elif isinstance(order, Stop):
                if order.step == DRIVER:
                    raise processes.Terminated
            elif isinstance(order, Quit):
                self._put_back.append(order)
                raise processes.Terminated
            elif order is not None:
                self._carry_out(order)


class InlineChannel:
    """The channel of code in this process to the engine. A step that the pipeline calls runs before the call returns."""

    def __init__(self, host: InlineHost, start: Start) -> None:
        self._host = host
        self._start = start
        self._questions = 0
        # Several threads of a pipeline may call tasks. Their steps run one after the other as well.
        self._lock = threading.RLock()

    def send(self, message: FromChild) -> None:
        """Send a message. The call of a task returns when its step is over."""
        with self._lock:
            self._host.forward(self._start, message)
            if isinstance(message, Call):
                self._ask(message.spec.name, aside=True)

    def reveal(self, name: str, value: str) -> None:
        """Do nothing, because this process knows its own secrets."""

    def wait_for(self, step: str) -> Answer:
        """Return the outcome of a step."""
        with self._lock:
            return self._ask(step, aside=False)

    def ask_model(self, reference: str) -> Answer:
        """Ask the engine which version a model reference means in this run."""
        with self._lock:
            return self._answer(Ask(question=self._next(), model=reference))

    def recall(self, search: str) -> Answer:
        """Ask for the trials of a search that are on record."""
        with self._lock:
            return self._answer(Recall(question=self._next(), search=search))

    def watch(self, steps: tuple[str, ...]) -> Answer:
        """Follow further steps, and wait for news. All of them are over by then, because a call returns after its step."""
        with self._lock:
            return self._answer(Watch(question=self._next(), steps=steps))

    def _ask(self, step: str, *, aside: bool) -> Answer:
        return self._answer(Await(question=self._next(), step=step, aside=aside))

    def _next(self) -> int:
        self._questions += 1
        return self._questions

    def _answer(self, question: Ask | Await | Recall | Watch) -> Answer:
        self._host.forward(self._start, question)
        return self._host.answer(question.question)


class _Used:
    """The time that an attempt uses in a process that did other work before."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self._cpu = _cpu()

    def since(self, begun: float) -> Usage:
        """Return the time since an attempt began. Its memory is not known, because the process holds more than the step."""
        return Usage(wall=time.monotonic() - begun, cpu=max(0.0, _cpu() - self._cpu))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@contextlib.contextmanager
def _restored() -> Generator[None]:
    """Restore after a step what each step of an ordinary run has for itself: variables, folder, random numbers, session."""
    before, folder, environment, numbers = (
        session.current(),
        os.getcwd(),
        dict(os.environ),
        random.getstate(),
    )
    numpy = sys.modules.get("numpy")
    drawn = numpy.random.get_state() if numpy is not None else None
    try:
        yield
    finally:
        session.enter(before)
        random.setstate(numbers)
        if numpy is not None:
            numpy.random.set_state(drawn)
        os.chdir(folder)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)


@contextlib.contextmanager
def _ending_politely() -> Generator[None]:
    """Let a request to end this process interrupt the code of the project, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _nothing(message: FromHost) -> None:
    raise UsageError("the host is connected with no engine")
