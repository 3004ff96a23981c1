"""Digests of the project's code that stored values refer to, as the project is now.

A pickled function or the record of a dataclass names its code and does not hold it. The engine imports no project, so
it asks the host that has, each name once a run. Knows no store and takes no decision.
"""

from collections.abc import Iterable

from fairway.ports import Host
from fairway.spec.wire import Identify


class References:
    """What is known of the project's code, and the steps that wait to know more."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self._asked: set[str] = set()
        self._waiting: list[str] = []

    def wait(self, step: str, names: Iterable[str], host: Host) -> bool:
        """Whether the step has to wait: for names not known yet, which the host is then asked for."""
        lacking = {name for name in names if name not in self.digests}
        if not lacking:
            return False
        new = lacking - self._asked
        if new:
            self._asked |= new
            host.send(Identify(names=tuple(sorted(new))))
        self._waiting.append(step)
        return True

    def answered(self, digests: dict[str, str]) -> list[str]:
        """Take an answer; returns the steps that waited, to be looked up again."""
        self.digests |= digests
        waiting, self._waiting = self._waiting, []
        return waiting

    def lost(self) -> list[str]:
        """Forget what was asked, because the host is gone; returns the steps that waited."""
        self._asked.clear()
        waiting, self._waiting = self._waiting, []
        return waiting
