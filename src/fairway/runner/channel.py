"""A child's line to its host: frames out, answers in. Synchronous, used by one thread at a time."""

import socket
import threading

from fairway.spec.errors import Interrupted
from fairway.spec.wire import Answer, Ask, Await, FromChild, Splitter, decode_to_host, frame


class Channel:
    """Sends messages to the engine by way of the host and waits for answers."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._splitter = Splitter()
        self._lock = threading.Lock()
        self._questions = 0

    def tell(self, message: FromChild) -> None:
        """Send a message that has no answer."""
        with self._lock:
            self._socket.sendall(frame(message))

    def wait_for(self, step: str) -> Answer:
        """Ask for a step's outcome; blocks until the step is over."""
        with self._lock:
            self._questions += 1
            self._socket.sendall(frame(Await(question=self._questions, step=step)))
            return self._answer(self._questions)

    def ask_model(self, reference: str) -> Answer:
        """Ask what a model reference means in this run."""
        with self._lock:
            self._questions += 1
            self._socket.sendall(frame(Ask(question=self._questions, model=reference)))
            return self._answer(self._questions)

    def _answer(self, question: int) -> Answer:
        while True:
            data = self._socket.recv(1 << 16)
            if not data:
                raise Interrupted("the host of this run is gone")
            for content in self._splitter.feed(data):
                message = decode_to_host(content)
                if isinstance(message, Answer) and message.question == question:
                    return message
