"""The leases on runs: who works on a run, and how to ask for its stop."""

from contextlib import AbstractContextManager
from typing import Protocol


class Leases(Protocol):
    """Leases on runs: only the holder works on a run. A lease ends with its holder, however that ends."""

    def take(self, run: str) -> AbstractContextManager[object]:
        """Hold the lease on a run for the length of a block. Raises UsageError if somebody else holds it."""
        ...

    def holder(self, run: str) -> str:
        """Return the holder of the lease on a run, such as "process 4711"; empty if there is none."""
        ...

    def ask_to_stop(self, run: str) -> bool:
        """Ask the holder to cancel the run. Return False if there was nobody to ask."""
        ...
