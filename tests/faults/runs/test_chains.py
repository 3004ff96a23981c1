"""A project file that starts Fairway when it is imported starts it once: no chain of processes comes of it, and none stays.

Every import leaves a line in a file, and ends its process when there are too many: so a chain stays small here.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

import pytest
from places import Place, children, kill, wait_for

MOST = 12
"""Imports after which a chain is cut."""

HEAD = f'''
note("imports", os.getpid())
if len(open("imports").readlines()) > {MOST}:
    os._exit(9)
COMMAND = [{sys.executable!r}, "-m", "fairway"]

@fw.task
def one(x: int) -> int:
    return x

@fw.pipeline
def main(x: int = 1):
    return one(x)
'''

CLEAN = "env={}"

UNGUARDED = {
    "fw.run": "fw.run(main)",
    "fw.run in a thread": "threading.Thread(target=fw.run, args=(main,)).start(); time.sleep(0.5)",
    "fw.deploy": "fw.deploy('sums')",
    "run": "subprocess.run([*COMMAND, 'run', 'project.py'])",
    "run, environment emptied": "subprocess.run([*COMMAND, 'run', 'project.py'], env={})",
    "run, waited for by nobody": "subprocess.Popen([*COMMAND, 'run', 'project.py'])",
    "run, in a session of its own": "subprocess.Popen([*COMMAND, 'run', 'project.py'], env={}, start_new_session=True)",
    "run, by a shell": "os.system(' '.join([*COMMAND, 'run', 'project.py']))",
    "run, by a shell in the background": "os.system('env -i ' + ' '.join([*COMMAND, 'run', 'project.py']) + ' &')",
    "deploy": "subprocess.run([*COMMAND, 'deploy', 'project.py'], env={})",
    "resume": "subprocess.run([*COMMAND, 'resume'], env={})",
    "up": "subprocess.run([*COMMAND, 'up'], env={})",
    "multiprocessing": "multiprocessing.get_context('spawn').Process(target=fw.run, args=(1,)).start(); time.sleep(1)",
    "an orphan, after the import ended its process": (
        "subprocess.Popen(['sh', '-c', 'sleep 1; \"$@\"', 'sh', *COMMAND, 'run', 'project.py'],"
        " env={}, start_new_session=True); os._exit(0)"
    ),
}


def here(place: Place) -> set[int]:
    """Every living process that works in the folder of a place, whatever its environment is."""
    found: set[int] = set()
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(place.folder):
                found.add(int(entry))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("start", UNGUARDED.values(), ids=UNGUARDED)
def test_what_a_file_starts_at_its_import_starts_no_chain(place: Callable[..., Place], start: str) -> None:
    at = place(f"import multiprocessing\n{HEAD}\n{start}\n")
    at.fairway("run", "project.py", expect=None, seconds=60)
    assert wait_for(lambda: not here(at)), "all of it ends"
    assert len(at.notes("imports")) <= 3, "a host, and no host of a host"
