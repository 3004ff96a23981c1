"""The hosts of one run: started where a step needs one, replaced when lost, and which of them runs what.

A place has one host that runs all attempts there, or each attempt has a host of its own; nothing else here depends on
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
"""A run that lost more hosts gives up: it is likely to be what kills them."""

Ready = Callable[[Host | Failure], None]


class Hosts:
    """Starts hosts and keeps account of them.

    Args:
        hear: takes every message of every host.
        changed: called after a host became ready or could not be started, and those who wait were told.
        give_up: called with an error that nobody foresaw.
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
        """Use a host that is ready."""
        self._known[host.name] = (host, place)
        if not place.alone:
            # One that is there stays: it was made for this engine, and another is only heard to its end.
            self._shared.setdefault(place.name, host)

    def at(self, place: Place) -> Host | None:
        """The host that runs all attempts of a place; None where there is none now, or attempts are alone."""
        return self._shared.get(place.name)

    def place_of(self, host: Host) -> Place | None:
        """The place of a host; None when it was never ready, or was forgotten."""
        known = self._known.get(host.name)
        return known[1] if known is not None and known[0] is host else None

    def need(self, place: Place, ready: Ready, attempt: Attempt | None = None) -> None:
        """Start a host; `ready` gets it, or why there is none.

        Without `attempt` it is started once for all who need the same place meanwhile.
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
        """The host that runs an attempt; None when none does, or not any more."""
        return self._running.get((step, attempt))

    def over(self, step: str, attempt: int) -> bool:
        """Forget an attempt; False when it was forgotten before, so that its end counts once."""
        host = self._running.pop((step, attempt), None)
        if host is not None:
            self.dismiss(host)
        return host is not None

    def dismiss(self, host: Host) -> None:
        """Let a host quit that was there for one attempt only."""
        place = self.place_of(host)
        if place is not None and place.alone:
            del self._known[host.name]
            host.send(Quit())

    def to_all_running(self, message: Callable[[str, int], ToHost]) -> None:
        """Send a message about each attempt that runs to its host."""
        for (step, attempt), host in list(self._running.items()):
            host.send(message(step, attempt))

    def lose(self, host: Host, place: Place) -> list[tuple[str, int]]:
        """Forget a host that is certainly gone; returns the attempts that it ran."""
        del self._known[host.name]
        if self._shared.get(place.name) is host:
            del self._shared[place.name]
        if not place.alone:
            # The end of an attempt's own host is that attempt's loss, which the step counts for itself.
            self._losses += 1
        lost = [key for key, value in self._running.items() if value is host]
        for key in lost:
            del self._running[key]
        return lost

    @property
    def lost_too_many(self) -> bool:
        """Whether the run has lost more hosts than it may."""
        return self._losses > MOST_LOSSES

    def close(self) -> None:
        """Start no host any more."""
        for task in self._tasks:
            task.cancel()

    def quit(self) -> None:
        """Tell every host that there is no more work."""
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
        # Taken out first: whoever is told now may need a host again, and must not be added to those being told.
        for ready in self._starting.pop(key):
            ready(found)
        self._changed()

    async def _new(self, place: Place, attempt: Attempt | None) -> Host:
        """Start a host; one that is lost before it is ready is replaced, as often as a run may lose hosts."""
        while True:
            try:
                return await self._executor.start(place, self._hear, attempt)
            except HostLost:
                self._losses += 1
                if self.lost_too_many:
                    raise
