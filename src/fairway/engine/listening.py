"""The interface through which an engine reports what happens in a run."""

from fairway.spec.event import Event
from fairway.spec.run import StepSpec


class Listener:
    """A receiver of a run's events and output. The default implementation ignores them."""

    def begun(self) -> None:
        """Note that the run is on record."""

    def event(self, event: Event) -> None:
        """Note that a fact was recorded."""

    def recalled(self, spec: StepSpec) -> None:
        """Note the call of a step that an earlier try at the run put on record."""

    def kept(self, step: str) -> None:
        """Note that a step is done, because its result is on record from an earlier try at the run."""

    def output(self, step: str, attempt: int, data: bytes) -> None:
        """Receive a piece of output of an attempt."""

    def waits(self, step: str, whom: str) -> None:
        """Note that a step waits for room, and for which run, such as "run k7m2, which uses 2 of 2 cores".

        Both texts are empty when no step waits.
        """
