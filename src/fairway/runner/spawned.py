"""A single attempt in a fresh interpreter, for hosts that must not fork (threads, a GPU context, the platform)."""

import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from fairway.runner import attempt, processes
from fairway.runner.channel import Channel
from fairway.runner.host import HostOptions, ImportedProject, load_module
from fairway.spec.wire import Start, decode_to_host
from fairway.stores import FileArtifacts, FileResults, Layout


class SpawnedPlace:
    """What the attempt needs, made anew in this process."""

    def __init__(self, options: HostOptions) -> None:
        layout = Layout(Path(options.root))
        self.project = ImportedProject(load_module(options))
        self.artifacts = FileArtifacts(layout.root)
        self.results = FileResults(layout.root)
        self.foreign = options.foreign


def main(options_text: str, order: str) -> int:
    """Carry out the attempt; returns the exit status."""
    processes.die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = msgspec.json.decode(options_text.encode(), type=HostOptions)
    start = decode_to_host(bytes.fromhex(order))
    if not isinstance(start, Start):
        return 1
    channel = Channel(socket.socket(fileno=options.fd))
    return attempt.run(start, channel, SpawnedPlace(options))  # type: ignore[arg-type]


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
