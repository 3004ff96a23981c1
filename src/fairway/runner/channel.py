"""The channel of a child to its host. It sends messages and waits for answers, for one thread at a time."""

import socket
import threading
from collections import deque
from typing import Protocol

from fairway.spec.errors import Interrupted, UsageError
from fairway.spec.quantities import format_memory
from fairway.spec.wire import (
    MAX_FRAME,
    Answer,
    Ask,
    Await,
    Call,
    FromChild,
    Recall,
    Revealed,
    Splitter,
    Start,
    ToHost,
    Watch,
    decode_to_host,
    frame,
    frame_for_host,
)


class Line(Protocol):
    """The connection of the code of a run with the engine, whether that is near or far."""

    def send(self, message: FromChild) -> None:
        """Send a message that has no answer."""
        ...

    def reveal(self, name: str, value: str) -> None:
        """Report the value of a secret that the code of this process has from here on."""
        ...

    def wait_for(self, step: str) -> Answer:
        """Wait until a step has ended and return its outcome."""
        ...

    def ask_model(self, reference: str) -> Answer:
        """Ask the engine which version a model reference means in this run."""
        ...

    def recall(self, search: str) -> Answer:
        """Ask for the trials of a search that are on record."""
        ...

    def watch(self, steps: tuple[str, ...]) -> Answer:
        """Follow further steps, and wait for news of the steps that are followed."""
        ...


class Channel:
    """A connection that carries messages to the engine, through the host, and answers back."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._splitter = Splitter()
        self._received: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._questions = 0

    def order(self) -> Start:
        """Wait for the first message of the host, which is the order to start. Raises Interrupted."""
        message = self._next()
        if not isinstance(message, Start):
            raise Interrupted("the host of this run sent no order")
        return message

    def send(self, message: FromChild) -> None:
        """Send a message that has no answer. Raises UsageError if it is longer than a frame may be."""
        data = frame(message)
        if len(data) > MAX_FRAME:
            what = f"the arguments of {message.spec.task}" if isinstance(message, Call) else "the result"
            raise UsageError(
                f"{what} hold too many separate values ({format_memory(len(data))})",
                hint="keep plain values apart from refs: a list without a ref in it is stored as one value",
            )
        with self._lock:
            self._socket.sendall(data)

    def reveal(self, name: str, value: str) -> None:
        """Tell the host, and nobody else, the value of a secret that the code of this process has from here on."""
        with self._lock:
            self._socket.sendall(frame_for_host(Revealed(name=name, value=value)))

    def wait_for(self, step: str) -> Answer:
        """Wait until a step has ended and return its outcome."""
        with self._lock:
            self._questions += 1
            self._socket.sendall(frame(Await(question=self._questions, step=step)))
            return self._answer(self._questions)

    def ask_model(self, reference: str) -> Answer:
        """Ask the engine which version a model reference means in this run."""
        with self._lock:
            self._questions += 1
            self._socket.sendall(frame(Ask(question=self._questions, model=reference)))
            return self._answer(self._questions)

    def recall(self, search: str) -> Answer:
        """Ask for the trials of a search that are on record."""
        with self._lock:
            self._questions += 1
            self._socket.sendall(frame(Recall(question=self._questions, search=search)))
            return self._answer(self._questions)

    def watch(self, steps: tuple[str, ...]) -> Answer:
        """Follow further steps, and wait for news of the steps that are followed."""
        with self._lock:
            self._questions += 1
            self._socket.sendall(frame(Watch(question=self._questions, steps=steps)))
            return self._answer(self._questions)

    def _answer(self, question: int) -> Answer:
        while True:
            message = self._next()
            # An answer to an earlier question may still come, if an exception ended the wait for it.
            if isinstance(message, Answer) and message.question == question:
                return message

    def _next(self) -> ToHost:
        while not self._received:
            data = self._socket.recv(1 << 16)
            if not data:
                raise Interrupted("the host of this run is gone")
            self._received.extend(self._splitter.feed(data))
        return decode_to_host(self._received.popleft())
