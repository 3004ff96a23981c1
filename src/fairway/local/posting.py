"""The start of the process that posts the messages of a store to webhooks, apart from the run that caused them."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from fairway.local.launching import TOKEN


def start(root: Path) -> None:
    """Start the process in a session of its own, and do not wait for it. It ends when nothing waits to be posted."""
    # An end of a run is none the worse if nobody can be told: the message stays on record.
    with suppress(OSError):
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fairway.control.posting", str(root)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name != TOKEN},
        )
        threading.Thread(target=process.wait, name="reaper", daemon=True).start()
