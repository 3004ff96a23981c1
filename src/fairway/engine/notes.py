"""The notes about a run as a whole, for a process with many runs and any number of followers of each.

A follower there reads the record, which everybody can read from any position. Only notes are on no record, so they are kept here.
"""

import asyncio
from collections.abc import Callable

from fairway.engine.listening import Listener
from fairway.spec.update import Over

_MOST = 200


class Notes(Listener):
    """The lines about one run. The earliest ones are kept, because a follower counts them from the beginning.

    Args:
        ended: called once when the run is over, or with the error that ended the work of its engine.
    """

    def __init__(self, ended: Callable[[BaseException | None], None]) -> None:
        self._ended = ended
        self.texts: list[str] = []
        self.on_record: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begun(self) -> None:
        """Let the submitter of the run go on."""
        if not self.on_record.done():
            self.on_record.set_result(None)

    def note(self, text: str) -> None:
        """Add a line about the run as a whole."""
        if len(self.texts) < _MOST:
            self.texts.append(text)

    def early(self) -> list[str]:
        """Return, once, the lines that came before the run was on record. Only then can anybody follow it and count lines."""
        found = list(self.texts) if not self.on_record.done() else []
        del self.texts[: len(found)]
        return found

    def end(self, over: Over) -> None:
        """Report that the run is over."""
        self._ended(None)

    def fail(self, error: BaseException) -> None:
        """Report an error that ended the work of the engine."""
        if not self.on_record.done():
            self.on_record.set_exception(error)
            self.on_record.exception()  # the caller of submit may be gone, and then nobody asks for it
        self._ended(error)
