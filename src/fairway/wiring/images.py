"""The tools for making images, put together from the user's environment and cache."""

import os
from collections.abc import Callable
from pathlib import Path

from fairway.cluster.images.workshop import Workshop
from fairway.local import environments
from fairway.wiring import settings


def make_workshop(note: Callable[[str], None], count: Callable[[int], None] = lambda _: None) -> Workshop:
    """Return the tools for making images.

    Args:
        note: a function that is called with each line of progress.
        count: a function that is called with numbers of bytes that were sent.
    """
    # Programs that make images or find logins get no setting of Fairway, among which is a token.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("FAIRWAY_")}
    home = Path(os.environ.get("HOME") or "/nonexistent")
    cache = environments.cache_folder(settings.store_root())
    return Workshop(environment=variables, home=home, cache=cache, note=note, count=count)
