"""The hosts of one run: started where a step needs one, replaced when lost, and which of them runs what."""

import asyncio
from collections.abc import Callable

from fairway.ports import Executor, Host
from fairway.spec.errors import FairwayError, HostLost
from fairway.spec.project import EnvironmentSpec
from fairway.spec.run import Failure, Reason
from fairway.spec.wire import FromHost, Quit, ToHost

_MOST_LOSSES = 10
"""A run that lost so many hosts gives up: it is likely to be what kills them."""

Ready = Callable[[Host | Failure], None]


class Hosts:
    """One host for each environment that a step asks for.

    Args:
        hear: takes every message of every host.
        changed: called after a host became ready or could not be started, and those who wait were told.
        give_up: called with an error that nobody foresaw.
    """

    def __init__(
        self,
        executor: Executor,
        hear: Callable[[Host, FromHost | None], None],
        changed: Callable[[], None],
        give_up: Callable[[BaseException], None],
    ) -> None:
        self._executor = executor
        self._hear = hear
        self._changed = changed
        self._give_up = give_up
        self._by_environment: dict[EnvironmentSpec | None, Host] = {}
        self._starting: dict[EnvironmentSpec | None, list[Ready]] = {}
        self._running: dict[tuple[str, int], Host] = {}
        self._losses = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, environment: EnvironmentSpec | None, host: Host) -> None:
        """Use a host that is ready."""
        self._by_environment[environment] = host

    def get(self, environment: EnvironmentSpec | None) -> Host | None:
        """The host of an environment; None when there is none now."""
        return self._by_environment.get(environment)

    def need(self, environment: EnvironmentSpec | None, ready: Ready) -> None:
        """Start a host, once for all who need it meanwhile; `ready` gets it, or why there is none."""
        waiting = self._starting.get(environment)
        if waiting is not None:
            waiting.append(ready)
            return
        self._starting[environment] = [ready]
        task = asyncio.get_running_loop().create_task(self._start(environment))
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
        return self._running.pop((step, attempt), None) is not None

    def to_all_running(self, message: Callable[[str, int], ToHost]) -> None:
        """Send a message about each attempt that runs to its host."""
        for (step, attempt), host in list(self._running.items()):
            host.send(message(step, attempt))

    def lose(self, host: Host) -> "tuple[EnvironmentSpec | None, list[tuple[str, int]]] | None":
        """Forget a host; returns its environment and the attempts that it ran. None when it was forgotten before."""
        known = [place for place, other in self._by_environment.items() if other is host]
        if not known:
            return None
        environment = known[0]
        del self._by_environment[environment]
        self._losses += 1
        return environment, [key for key, value in self._running.items() if value is host]

    @property
    def lost_too_many(self) -> bool:
        """Whether the run has lost more hosts than it may."""
        return self._losses > _MOST_LOSSES

    def close(self) -> None:
        """Start no host any more."""
        for task in self._tasks:
            task.cancel()

    def quit(self) -> None:
        """Tell every host that there is no more work."""
        for host in self._by_environment.values():
            host.send(Quit())

    async def _start(self, environment: EnvironmentSpec | None) -> None:
        found: Host | Failure
        try:
            found = await self._new(environment)
            self._by_environment[environment] = found
        except FairwayError as error:
            reason = Reason.HOST if isinstance(error, HostLost) else Reason.ENVIRONMENT
            message, _, details = error.message.partition("\n")
            found = Failure(reason=reason, message=message.rstrip(":"), hint=error.hint, details=details)
        except Exception as error:
            self._give_up(error)
            return
        # Taken out first: whoever is told now may need a host again, and must not be added to those being told.
        for ready in self._starting.pop(environment):
            ready(found)
        self._changed()

    async def _new(self, environment: EnvironmentSpec | None) -> Host:
        """Start a host; one that is lost before it is ready is replaced, as often as a run may lose hosts."""
        while True:
            try:
                return await self._executor.start(environment, self._hear)
            except HostLost:
                self._losses += 1
                if self.lost_too_many:
                    raise
