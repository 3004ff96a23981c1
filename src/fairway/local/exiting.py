"""The end of a program of Fairway. It runs the exit handlers and leaves the freeing of memory to the system."""

import atexit
import contextlib
import os
import sys
from typing import NoReturn


def leave(status: int) -> NoReturn:
    """End this process now. An interpreter with hundreds of modules needs tens of milliseconds to free them."""
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status)
