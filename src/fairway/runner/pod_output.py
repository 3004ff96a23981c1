"""The output of a host itself in a pod, on its way to the control plane without secrets: what a project prints at its import."""

from collections.abc import Callable, Iterable

from fairway.author import redaction


class HostOutput:
    """The stream of a host's own output.

    Args:
        passed: called with each clean piece.
        names: more names of secrets, which the project has.
    """

    def __init__(self, passed: Callable[[bytes], None], names: Iterable[str] = ()) -> None:
        redaction.name_more(names)
        self._passed = passed
        self._stream = redaction.Stream()

    def write(self, data: bytes) -> None:
        """Pass on a piece of output. Empty data stands for the end of an import: nothing is held back then."""
        redactor = redaction.refresh()
        clean = self._stream.feed(data, redactor) if data else self._stream.end(redactor)
        if clean:
            self._passed(clean)
