"""Finds the platform of a store, starts it, and stops it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.wiring.machine import LocalStores, token_of
from fairway.wiring.settings import first_port

if TYPE_CHECKING:
    from fairway.remote import RemotePlatform


def platform(root: Path, note: Callable[[str], None] = lambda text: None) -> "RemotePlatform":
    """The platform of a store, started in the background when it does not run. Raises FairwayError."""
    from fairway.local import platforms
    from fairway.remote import RemotePlatform

    record = platforms.running(root)
    if record is None:
        first_port()  # a setting that is wrong is refused here: the process would only tell its log
        LocalStores(root).prepare()
        record = platforms.start(root)
        note(f"platform started at {record.url}; `fairway down` stops it")
    return RemotePlatform(record.url, token_of(root))


def stop_platform(root: Path) -> bool:
    """End the platform process of a store and all its endpoints; whether there was anything to end."""
    from fairway.local import platforms
    from fairway.local.interrupts import blocking

    if platforms.running(root) is None and not platforms.left_behind(root):
        return False
    found = platform(root)
    record = platforms.running(root)
    blocking(found.shutdown(endpoints=True))
    return record is None or platforms.wait_gone(record, 30.0)
