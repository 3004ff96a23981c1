"""The interface through which an engine tells what happens in a run."""

from fairway.spec.event import Event
from fairway.spec.run import StepSpec


class Listener:
    """Receives a run's events and output. The default implementation ignores them."""

    def begun(self) -> None:
        """The run is on record."""

    def event(self, event: Event) -> None:
        """A fact was recorded."""

    def recalled(self, spec: StepSpec) -> None:
        """A step was called that an earlier try at the run put on record."""

    def kept(self, step: str) -> None:
        """A step is done: its result is on record from an earlier try at the run."""

    def output(self, step: str, attempt: int, data: bytes) -> None:
        """An attempt printed something."""

    def waits(self, step: str, whom: str) -> None:
        """A step waits for other runs to leave room, such as "run k7m2, which uses 2 of 2 cores"; empty texts when none does."""
