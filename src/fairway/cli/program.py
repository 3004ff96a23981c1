"""The program `fairway`: starts the import of the user's project before its own, and leaves without taking itself apart.

A short run is mostly two imports, the project's in its host and ours here. This file must load next to nothing.
"""

import sys

from fairway import wiring
from fairway.local.leaving import leave

_WITH_PROJECT = ("run", "plan")


def main() -> None:
    """Run the command line and end this process with its exit code."""
    words = sys.argv[1:]
    if len(words) > 1 and words[0] in _WITH_PROJECT and not words[1].startswith("-"):
        wiring.head_start(words[1].partition(":")[0])
    from fairway.cli.main import main as command_line

    leave(command_line(words))
