"""A seat: the host of one attempt in a pod that other attempts use as well, at the same time or later.

An engine gets a host for each attempt and lets it quit afterwards. A seat passes messages to and from the pod's host, and
quits by leaving it to the next attempt.
"""

import asyncio
from collections.abc import Callable

from fairway.cluster.hosts import ClusterHost, usable
from fairway.spec.places import Back, Gone
from fairway.spec.run import Failure, Reason
from fairway.spec.wire import Cause, Exited, FromHost, Quit, Start, Stop, ToHost

_LINGER_SECONDS = 5.0
"""Seconds that the process of an attempt may go on after its record, before it is ended to free the seat."""

Hear = Callable[["Seat", FromHost | Gone | Back], None]
Key = tuple[str, int]


class Seat:
    """The host of an attempt.

    Args:
        name: the name, which no other host of the run has.
        host: the host in the pod.
        hear: called with the messages about attempts of this seat.
        freed: called once, when nothing of this seat is left in the pod.

    Attributes:
        limits: the memory that each running attempt may use, by step and number. There is one, as a rule.
        quitting: True once the engine needs the seat no more.
        lost: the reason why its pod is gone. None while that is not certain.
    """

    def __init__(self, name: str, host: ClusterHost, hear: Hear, freed: Callable[["Seat"], None]) -> None:
        self.name = name
        self.limits: dict[Key, int] = {}
        self.quitting = False
        self.lost: Failure | None = None
        self._host = host
        self._hear = hear
        self._freed = freed
        self._over = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """True while an attempt of this seat runs."""
        return bool(self.limits)

    def adopt(self, step: str, attempt: int) -> None:
        """Take over an attempt that an earlier engine began."""
        self.limits[step, attempt] = 0

    def listen(self, hear: Hear) -> None:
        """Pass messages to an engine from now on."""
        self._hear = hear

    def send(self, message: ToHost) -> None:
        """Send a message to the host. A quit leaves the pod to others as soon as nothing of this seat runs."""
        if self._over:
            return
        if isinstance(message, Quit):
            self.quitting = True
            if self.limits:
                self._timer = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._end_all)
            self._free()
            return
        if isinstance(message, Start):
            self.limits[message.step, message.attempt] = message.memory or usable(self._host.memory)
        self._host.send(message)

    async def close(self) -> None:
        """End the pod with everything in it."""
        await self._host.close()

    def receive(self, message: FromHost | Gone | Back, *, alone: bool = True) -> bool:
        """Pass a message on. Return False if the end of an attempt cannot be blamed on it, because it was not alone.

        The system ends any of the processes that share the memory of a pod. One that kept to its own bound is not at fault: it
        is lost, which spends no retry.
        """
        if self._over:
            return True
        innocent = False
        if isinstance(message, Exited):
            limit = self.limits.pop((message.step, message.attempt), 0)
            by_memory = message.ended.cause is Cause.MEMORY and message.usage.memory < limit
            innocent = by_memory and not alone and not self.quitting
        if isinstance(message, Gone) and message.certain:
            self.lost = message.failure
            self._leave()
        if innocent:
            text = f"{Reason.HOST.text}: its pod ran {Reason.OOM.text}, and other steps used it as well"
            self.quitting = True
            self._hear(self, Gone(failure=Failure(reason=Reason.HOST, message=text)))
        else:
            self._hear(self, message)
        self._free()
        return not innocent

    def _end_all(self) -> None:
        for step, attempt in self.limits:
            self._host.send(Stop(step=step, attempt=attempt, grace=0.0))

    def _free(self) -> None:
        if self.quitting and not self.limits and not self._over:
            self._leave()
            self._freed(self)

    def _leave(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def tell_printed(host: ClusterHost, hear: Hear | None, step: str, attempt: int) -> None:
    """Pass on what a host printed in which no attempt began, as output of the attempt that it was made for."""
    message = host.printed_as(step, attempt)
    if message is not None and hear is not None:
        Seat(host.name, host, hear, lambda seat: None).receive(message)
