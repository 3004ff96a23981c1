"""The name of the user of this process."""

import functools
import os
import pwd


@functools.cache
def name() -> str:
    """Return the name of the user of this process; empty if the machine knows none, as in many containers."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except (KeyError, OSError):
        return ""
