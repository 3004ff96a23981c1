"""Digests of the project's present code that stored values refer to.

A pickled function or the record of a dataclass names its code and does not contain it. The engine imports no project. So
it asks the host that imported it, once a run for each name. Knows no store and makes no decision.
"""

from collections.abc import Iterable

from fairway.ports import Host
from fairway.spec.wire import Identify


class References:
    """The known digests of the project's code, and the steps that wait for more."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self._asked: set[str] = set()
        self._waiting: list[str] = []

    def wait(self, step: str, names: Iterable[str], host: Host) -> bool:
        """Tell whether the step has to wait for unknown names. Ask the host for the new ones."""
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
        """Take an answer. Return the steps that waited, to be looked up again."""
        self.digests |= digests
        waiting, self._waiting = self._waiting, []
        return waiting

    def lost(self) -> list[str]:
        """Forget the open questions, because the host is gone. Return the steps that waited."""
        self._asked.clear()
        waiting, self._waiting = self._waiting, []
        return waiting
