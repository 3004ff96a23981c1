"""A single attempt in a fresh interpreter, for a host that must not fork: it has threads or a GPU, or runs on macOS."""

import os
import signal
import socket
import sys

from fairway.author import redaction
from fairway.local import descent, importing
from fairway.runner import attempt, debugging, lifeline, processes
from fairway.runner.channel import Channel
from fairway.runner.project import ImportedProject, load_module
from fairway.spec.host import HostSetup
from fairway.stores.opening import open_store


def main(words: list[str]) -> int:
    """Run the attempt that the host orders over the connection, and return the exit status."""
    # First, because the host may be killed at any moment, and nobody else would end this process.
    lifeline.hold(int(words[0]), int(words[1]))
    lifeline.become_subreaper()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    processes.print_anything()
    processes.unwind_on_termination()
    debugging.refuse_breakpoints()
    fd, setup = HostSetup.from_words(words[1:])
    line = socket.socket(fileno=fd)
    line.set_inheritable(False)
    channel = Channel(line)
    store = open_store(setup.store)
    with importing.apart():
        redaction.watch_environment()
        project = ImportedProject(load_module(setup.code))
    descent.enter_step()
    place = attempt.Workplace(
        project, store.artifacts, store.results, setup.foreign, store.place, keeps=setup.keeps
    )
    return attempt.run(channel.order(), channel, place)


if __name__ == "__main__":
    status = 1
    try:
        status = main(sys.argv[1:])
    except processes.Terminated:
        processes.end_by(signal.SIGTERM)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
