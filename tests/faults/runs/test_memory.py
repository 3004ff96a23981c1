"""`memory=` holds, whoever uses it: the step itself, a child of it, or a child that is gone before anybody looked."""

import re
from collections.abc import Callable

import pytest
from places import Place

from fairway.spec.run import Phase, Reason

TEXT = '''
HOLD = 30
GREEDY = "import time; held = bytearray(b'x') * {size}; time.sleep({seconds})"

def child(size, seconds):
    """A process of its own that ends well, if it is let."""
    return subprocess.Popen([sys.executable, "-S", "-E", "-c", GREEDY.format(size=size, seconds=seconds)])

@fw.task(memory="200Mi")
def itself() -> int:
    held = bytearray(b"x") * 400_000_000
    time.sleep(HOLD)
    return len(held)

@fw.task(memory="200Mi")
def brief() -> int:
    return len(bytearray(b"x") * 400_000_000)

@fw.task(memory="200Mi")
def below() -> int:
    child(400_000_000, HOLD).wait()
    return 0

@fw.task(memory="200Mi")
def gone() -> int:
    assert child(400_000_000, 0).wait() == 0
    return 0

@fw.task(memory="200Mi")
def together() -> int:
    many = [child(70_000_000, HOLD) for _ in range(5)]
    return sum(one.wait() for one in many)

@fw.task(memory="4Gi")
def refused() -> int:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    return len(bytearray(2**31))

@fw.task(memory="200Mi")
def modest() -> int:
    child(20_000_000, 0.2).wait()
    return len(bytearray(b"x") * 20_000_000)

@fw.task(memory="200Mi", retries=1)
def again() -> int:
    note("tries", "x")
    with open("tries") as file:
        count = len(file.readlines())
    held = bytearray(b"x") * (400_000_000 if count < 2 else 1_000)
    time.sleep(HOLD if count < 2 else 0)
    return len(held)

@fw.pipeline
def main(which: str = "") -> int:
    return fw.value(globals()[which]())
'''


def ended_over_its_limit(place: Place) -> tuple[int, int]:
    """The peak that the only step's end as out of memory names, and the memory it suggests, in MiB."""
    failure = place.status().steps[0].failure
    assert failure is not None
    assert failure.reason is Reason.OOM
    peak = re.search(r"it used (\d+) MiB and its limit is 200 MiB", failure.message)
    suggested = re.search(r'memory="(\d+)Mi"', failure.hint)
    assert peak is not None, failure.message
    assert suggested is not None, failure.hint
    assert int(peak[1]) > 200
    return int(peak[1]), int(suggested[1])


@pytest.mark.parametrize("which", ["itself", "brief", "below", "gone", "together"])
def test_an_attempt_over_its_limit_ends_as_out_of_memory(place: Callable[..., Place], which: str) -> None:
    here = place(TEXT)

    said = here.fairway("run", "project.py", "--which", which, expect=1).stderr

    peak, suggested = ended_over_its_limit(here)
    assert peak < 700
    assert suggested > peak
    assert here.status().steps[0].attempts[0].usage.memory > 200 * 2**20
    assert "out of memory" in said


def test_an_allocation_that_the_system_refuses_is_out_of_memory_too(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    here.fairway("run", "project.py", "--which", "refused", expect=1)
    failure = here.status().steps[0].failure
    assert failure is not None
    assert failure.reason is Reason.OOM
    assert "MemoryError" in failure.message
    assert "MiB" in failure.message


def test_who_stays_below_the_limit_is_left_alone(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    here.fairway("run", "project.py", "--which", "modest")
    assert here.status().phase is Phase.SUCCEEDED


def test_out_of_memory_spends_a_retry(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    here.fairway("run", "project.py", "--which", "again")
    first, second = here.status().steps[0].attempts
    assert first.failure is not None
    assert first.failure.reason is Reason.OOM
    assert second.failure is None


NO_ENFORCING = """
import fairway.runner.children as children
import fairway.runner.processes as processes
processes.tree_memory = lambda leader: 0
"""


def test_the_check_sees_a_host_that_counts_no_children(place: Callable[..., Place]) -> None:
    here = place(TEXT.replace("HOLD = 30", "HOLD = 1"), planted=NO_ENFORCING)
    here.fairway("run", "project.py", "--which", "together")
    assert here.status().phase is Phase.SUCCEEDED, "only the sum of all processes is over the limit"


def test_memory_limits_hold_at_full_size(
    place: Callable[..., Place], full: bool, measured: Callable[..., None]
) -> None:
    rounds = 20 if full else 1
    kinds = ("itself", "below", "gone")
    for _ in range(rounds):
        for which in kinds:
            here = place(TEXT)
            here.fairway("run", "project.py", "--which", which, expect=1)
            peak, suggested = ended_over_its_limit(here)
            assert suggested > peak
    measured(
        "T9",
        "Twice its memory in the step's process, in a child process, in a child that exits 0",
        goal="all end as out of memory with the peak named and more suggested",
        attempts=rounds * len(kinds),
        right=rounds * len(kinds),
    )
