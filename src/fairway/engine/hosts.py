"""The hosts of one run. This module starts, replaces and forgets them, and knows which host runs which attempt.

A place has one host for all its attempts, or each attempt has a host of its own. Nothing else here depends on
which. Knows no decision about steps.
"""

import asyncio
from collections.abc import Callable

from fairway.engine import failures
from fairway.ports import Executor, Hear, Host
from fairway.spec.errors import FairwayError, HostLost
from fairway.spec.places import Attempt, Place
from fairway.spec.run import Failure
from fairway.spec.wire import Quit, ToHost

MOST_LOSSES = 10
"""Number of hosts that a run may lose. A run that lost more gives up, because it probably kills them itself."""

Ready = Callable[[Host | Failure], None]


class Hosts:
    """The hosts of one run and the attempts on them.

    Args:
        hear: handles every message of every host.
        changed: called after a host became ready or could not be started, and after all waiting callers got the result.
        give_up: called with an unexpected error.
    """

    def __init__(
        self,
        executor: Executor,
        hear: Hear,
        changed: Callable[[], None],
        give_up: Callable[[BaseException], None],
    ) -> None:
        self._executor = executor
        self._hear = hear
        self._changed = changed
        self._give_up = give_up
        self._shared: dict[str, Host] = {}
        self._known: dict[str, tuple[Host, Place]] = {}
        self._starting: dict[str, list[Ready]] = {}
        self._running: dict[tuple[str, int], Host] = {}
        self._losses = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, place: Place, host: Host) -> None:
        """Register a host that is ready."""
        self._known[host.name] = (host, place)
        if not place.alone:
            # Keep the present host: it was made for this engine. The other one only finishes the attempts that it runs.
            self._shared.setdefault(place.name, host)

    def at(self, place: Place) -> Host | None:
        """Return the host that runs all attempts of a place; None without one, or where attempts are alone."""
        return self._shared.get(place.name)

    def place_of(self, host: Host) -> Place | None:
        """Return the place of a host; None when it was never ready, or was forgotten."""
        known = self._known.get(host.name)
        return known[1] if known is not None and known[0] is host else None

    def need(self, place: Place, ready: Ready, attempt: Attempt | None = None) -> None:
        """Start a host, and pass the host or the failure to `ready`.

        Without `attempt`, one start serves all callers that need the same place meanwhile.
        """
        key = place.name if attempt is None else f"{place.name}/{attempt.step}.{attempt.number}"
        waiting = self._starting.get(key)
        if waiting is not None:
            waiting.append(ready)
            return
        self._starting[key] = [ready]
        task = asyncio.get_running_loop().create_task(self._start(key, place, attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def assign(self, step: str, attempt: int, host: Host) -> None:
        """Note that a host runs an attempt."""
        self._running[step, attempt] = host

    def running(self, step: str, attempt: int) -> Host | None:
        """Return the host that runs an attempt; None if none does, or not any more."""
        return self._running.get((step, attempt))

    def over(self, step: str, attempt: int) -> bool:
        """Forget an attempt. Return False if it was forgotten before, so that its end counts once."""
        host = self._running.pop((step, attempt), None)
        if host is not None:
            self.dismiss(host)
        return host is not None

    def dismiss(self, host: Host) -> None:
        """Let a host quit that was there for one attempt only, or for the last attempts of an earlier engine."""
        place = self.place_of(host)
        if place is not None and (place.alone or self._is_left_over(host, place)):
            del self._known[host.name]
            host.send(Quit())

    def _is_left_over(self, host: Host, place: Place) -> bool:
        """Tell whether another host has taken the place of this one, and nothing runs here any more."""
        return self._shared.get(place.name) is not host and host not in self._running.values()

    def to_all_running(self, message: Callable[[str, int], ToHost]) -> None:
        """Send a message about each running attempt to its host."""
        for (step, attempt), host in list(self._running.items()):
            host.send(message(step, attempt))

    def lose(self, host: Host, place: Place) -> list[tuple[str, int]]:
        """Forget a host that is certainly gone. Return the attempts that it ran."""
        del self._known[host.name]
        if self._shared.get(place.name) is host:
            del self._shared[place.name]
        if not place.alone:
            # An attempt's own host is lost with the attempt, and the step counts that loss itself.
            self._losses += 1
        lost = [key for key, value in self._running.items() if value is host]
        for key in lost:
            del self._running[key]
        return lost

    @property
    def lost_too_many(self) -> bool:
        """True if the run has lost more hosts than it may."""
        return self._losses > MOST_LOSSES

    def close(self) -> None:
        """Stop starting hosts."""
        for task in self._tasks:
            task.cancel()

    def quit(self) -> None:
        """Send every host the message that there is no more work."""
        for host, _ in self._known.values():
            host.send(Quit())

    async def _start(self, key: str, place: Place, attempt: Attempt | None) -> None:
        found: Host | Failure
        try:
            found = await self._new(place, attempt)
            self.adopt(place, found)
        except FairwayError as error:
            found = failures.no_host(error)
        except Exception as error:
            self._give_up(error)
            return
        # Take the list out first. A function in it may need a host again, and must not be added to the same list.
        for ready in self._starting.pop(key):
            ready(found)
        self._changed()

    async def _new(self, place: Place, attempt: Attempt | None) -> Host:
        """Start a host. Replace a host that is lost before it is ready, as often as a run may lose hosts."""
        while True:
            try:
                return await self._executor.start(place, self._hear, attempt)
            except HostLost:
                self._losses += 1
                if self.lost_too_many:
                    raise
