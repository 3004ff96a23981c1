"""Names of Jobs, which are the names of hosts. They follow from the run, the step and the attempt, whatever those are called."""

import hashlib
import re

from fairway.spec.install import Install

_NUMBER = re.compile(r"-a(\d+)$")


def of_run(key: str, install: Install) -> str:
    """Return the short name of a run in names and labels. `key` is the text that no other run of the installation has."""
    return _short(f"{key}\n{install.uid}")


def driver(run: str, number: int) -> str:
    """Return the name of a driver of a run. Each driver of the run has another number."""
    return f"fw-{run}-d-a{number}"


def worker(run: str, number: int) -> str:
    """Return the name of a pod that steps of a run share. Each such pod of the run has another number."""
    return f"fw-{run}-w-a{number}"


def step(run: str, name: str, attempt: int) -> str:
    """Return the name of the host for one attempt of a step."""
    return f"fw-{run}-s{_short(name)}-a{attempt}"


def is_driver(name: str) -> bool:
    """Tell whether a host is a driver."""
    return "-d-a" in name


def is_worker(name: str) -> bool:
    """Tell whether a host is in a pod that steps share."""
    return "-w-a" in name


def number(name: str) -> int:
    """Return the number at the end of a name: that of the driver, the shared pod or the attempt. 0 if there is none."""
    found = _NUMBER.search(name)
    return int(found[1]) if found else 0


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
