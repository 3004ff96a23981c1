"""The program `fairway`. It starts the import of the user's project before its own, and exits without a clean-up.

Most of the time of a short run is two imports: the project's in its host, and ours here. So this file must load next to
nothing.
"""

import gc
import os
import sys

gc.set_threshold(50_000)  # what is imported stays: looking through it every 700 objects finds nothing to free

from fairway.wiring import headstart  # noqa: E402 - nothing may be imported before

_WITH_PROJECT = ("run", "plan")
_ELSEWHERE = ("--detach", "--target", "--here")
"""Flags of a run for which no host is started ahead: another process carries it out, or this process itself."""


def open_streams() -> None:
    """Open closed standard streams onto the null device, so that no file of ours becomes a standard stream."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays open


def main() -> None:
    """Run the command line and end this process with its exit code."""
    open_streams()
    words = sys.argv[1:]
    if (
        len(words) > 1
        and words[0] in _WITH_PROJECT
        and not words[1].startswith("-")
        and not any(word.startswith(_ELSEWHERE) for word in words)
    ):
        headstart.head_start(words[1].partition(":")[0])
    from fairway.cli.main import main as command_line
    from fairway.wiring.process import leave

    leave(command_line(words))
