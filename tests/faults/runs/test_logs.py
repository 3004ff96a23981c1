"""Floods, giants, rubbish and sudden death in what a step prints: all of it is kept, in order, and nobody swells."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from places import Place, kill, wait_for

from fairway.spec.text import plain
from fairway.stores.logs import MAX_LINE, FileLogs

TEXT = """
@fw.task
def flood(count: int) -> int:
    for start in range(0, count, 100):
        sys.stdout.write("".join(f"line {i}\\n" for i in range(start, min(start + 100, count))))
    return count

@fw.task
def giant(size: int) -> int:
    sys.stdout.write("g" * size + "\\n")
    print("after the giant")
    return size

@fw.task
def rubbish() -> int:
    every = bytes(range(256))
    os.write(1, every + b"\\n" + b"\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07\\n" + b"\\xff\\xfe\\x00\\n")
    os.write(2, "é".encode()[:1])
    time.sleep(0.1)
    os.write(2, "é".encode()[1:] + b" whole\\nno newline at the end")
    return 0

@fw.task
def ticker() -> int:
    note("ticker", os.getpid())
    for i in range(10**9):
        print(f"tick {i}")
        time.sleep(0.001)
        note("told", f"{i} {time.time()}")

@fw.pipeline
def main(which: str = "flood", size: int = 1) -> int:
    chosen = globals()[which]
    return fw.value(chosen(size) if which in ("flood", "giant") else chosen())
"""


def lines(place: Place, step: str) -> list[str]:
    """What is on record of a step's only attempt, without times."""
    logs, found, offset = FileLogs(place.folder / ".fairway"), list[str](), 0
    while True:
        more, after = logs.read(place.runs()[0], step, 1, offset)
        found += [text for _, text in more]
        if after == offset:
            return found
        offset = after


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (OSError, ValueError):
        return 0


def grown(place: Place, *words: str) -> int:
    """Run a command to its end; how many bytes its engine or host grew while steps were at work."""
    engine = place.start(*words)
    assert wait_for(lambda: place.host(engine.pid) and place.runs())
    host = place.host(engine.pid)
    assert wait_for(lambda: FileLogs(place.folder / ".fairway").attempts(place.runs()[0]), pause=0.002)
    first, most = (resident(engine.pid), resident(host)), [0, 0]
    while engine.poll() is None:
        most = [max(before, resident(pid)) for before, pid in zip(most, (engine.pid, host), strict=True)]
        time.sleep(0.01)
    assert engine.returncode == 0, (place.folder / "said").read_text("utf-8")[-2000:]
    return max(after - before for before, after in zip(first, most, strict=True))


def test_a_flood_of_lines_is_kept_without_a_gap(
    place: Callable[..., Place], full: bool, measured: Callable[..., None]
) -> None:
    count = 1_000_000 if full else 50_000
    giant_size = 10_000_000
    here = place(TEXT)
    growth = grown(here, "run", "project.py", "--which", "flood", "--size", str(count), "--quiet")
    told, printed = lines(here, "flood"), [f"line {i}" for i in range(count)]
    lost = set(printed) - set(told)
    assert not lost
    assert told == printed, "in order"
    assert here.fairway("logs").stdout.count("\n") == count
    assert growth < 30e6, f"{growth / 1e6:.0f} MB more"

    giant = place(TEXT)
    giant_growth = grown(giant, "run", "project.py", "--which", "giant", "--size", str(giant_size), "--quiet")
    found = lines(giant, "giant")
    assert "".join(found[:-1]) == "g" * giant_size
    assert found[-1] == "after the giant"
    assert max(map(len, found)) <= MAX_LINE
    assert giant_growth < 30e6, f"{giant_growth / 1e6:.0f} MB more"
    measured(
        "T18",
        "A million lines, a line of 10 MB, in the log of a step",
        goal="every byte kept in order; memory of engine and host flat",
        lines=count,
        lost=len(lost),
        grown_MB=round(max(growth, giant_growth) / 1e6, 1),
    )


def test_rubbish_is_kept_and_shown_harmless(
    place: Callable[..., Place], measured: Callable[..., None]
) -> None:
    here = place(TEXT)
    live = here.fairway("run", "project.py", "--which", "rubbish").stderr
    kept = "\n".join(lines(here, "rubbish"))
    lost = [byte for byte in range(256) if (chr(byte) if byte < 128 else f"\\x{byte:02x}") not in kept]
    assert lost == []
    assert "\x1b[31mred" in kept
    assert kept.endswith("no newline at the end")
    assert "whole" in kept

    shown = here.fairway("logs").stdout
    assert "red" in live
    assert "red" in shown
    controls = [letter for letter in live + shown if ord(letter) < 32 and letter not in "\n\t"]
    assert controls == []
    assert plain("\x1b[31mred\x1b[0m") == "red"
    measured(
        "T18-rubbish",
        "Every byte there is, escape codes, halves of a letter, no newline at the end, in the log of a step",
        goal="all kept, none reaches a terminal as a control code",
        bytes=256,
        lost=len(lost),
        controls_shown=len(controls),
    )


def seconds_lost(here: Place, victim: str) -> tuple[float, int]:
    """Kill a process while a step prints.

    Returns how long before its death the first line was printed that is not kept, and the lines missing before the last.
    """
    engine = here.start("run", "project.py", "--which", "ticker", "--quiet")
    assert wait_for(lambda: len(here.notes("told")) > 3000), (
        "three seconds at least, as it waits between lines"
    )
    host, step = here.host(engine.pid), int(here.notes("ticker")[0])
    kill({"step": step, "host": host, "engine": engine.pid}[victim])
    killed = time.time()
    assert wait_for(lambda: step not in here.alive())
    time.sleep(0.2)
    if victim == "host":
        kill(engine.pid)
    engine.wait(timeout=240)

    kept = lines(here, "ticker")
    told = [line.split() for line in here.notes("told")]
    gaps = sum(line != f"tick {i}" for i, line in enumerate(kept))
    lost = [float(when) for number, when in told if int(number) >= len(kept)]
    return killed - min(lost, default=killed), gaps


def test_a_death_in_the_middle_of_printing_loses_no_two_seconds(
    place: Callable[..., Place], full: bool, measured: Callable[..., None]
) -> None:
    rounds = 10 if full else 1
    victims = [(place(TEXT), victim) for _ in range(rounds) for victim in ("step", "host", "engine")]
    with ThreadPoolExecutor(3) as together:
        ends = list(together.map(seconds_lost, *zip(*victims, strict=True)))
    lost, gaps = max(seconds for seconds, _ in ends), sum(missing for _, missing in ends)
    assert lost < (2 if full else 15), "an engine that does not get to run may be late"
    assert gaps == 0
    measured(
        "T18-deaths",
        "Kill -9 of a step, its host or its engine while it prints",
        goal="at most the last 2 s of lines lost, no gap before",
        kills=len(ends),
        gaps=gaps,
        seconds_lost_at_most=round(lost, 3),
    )


HOARDS = """
from fairway.stores.logs import FileLogs
kept = FileLogs._write
def write(self, stream, data):
    self.held = getattr(self, "held", b"") + data
    if len(self.held) > 10**6:
        kept(self, stream, self.held)
        self.held = b""
FileLogs._write = write
"""


def test_the_check_sees_an_engine_that_keeps_lines_in_memory(place: Callable[..., Place]) -> None:
    lost, _ = seconds_lost(place(TEXT, planted=HOARDS), "engine")
    assert lost > 2
