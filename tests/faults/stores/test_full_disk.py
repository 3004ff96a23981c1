"""A disk that is full at every size: it is said, nothing is lost, looking still works, and it goes on once there is room."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from diary import Reader, acknowledged

PAGE = 4096
PROGRAM = """
import os, sys
from pathlib import Path
from diary import PLANTED, Writer
from fairway.stores.faults import DiskFull
root, planted = Path(sys.argv[1]), sys.argv[2]
if planted:
    PLANTED[planted]()
writer = Writer(root)
number, refused = 0, 0
for line in sys.stdin:
    number, last = number + 1, line == "last\\n"
    for kind in ("blob", "record", "event", "stream"):
        try:
            writer.write(kind, number)
            print(kind, number, flush=True)
        except DiskFull as error:
            refused += 1
            print("refused", kind, flush=True)
    print("waiting", refused, flush=True)
    if last:
        break
writer.close()
print("closed", flush=True)
"""


class Disk:
    """A file system of its own in memory."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.root = folder / ".fairway"
        folder.mkdir()
        self._mount(size)

    def _mount(self, size: int, *more: str) -> None:
        options = ",".join([*more, f"size={size}", "mode=700"])
        words = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: run as root ({done.stderr.strip()})")

    def enlarge(self, size: int) -> None:
        """Make room."""
        self._mount(size, "remount")

    def fill(self, left: int) -> None:
        """Leave that many bytes."""
        free = os.statvfs(self.folder).f_bavail * PAGE
        with open(self.folder / "ballast", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(PAGE, free - left))

    def away(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    """Makes small disks."""
    if shutil.which("mount") is None or os.getuid() != 0:
        pytest.skip("only root can mount a file system: run as root")
    made: list[Disk] = []

    def make(size: int = 8 << 20) -> Disk:
        made.append(Disk(tmp_path / f"disk{len(made)}", size))
        return made[-1]

    yield make
    for one in made:
        one.away()


class Program:
    """One process that writes before, while and after the disk is full."""

    def __init__(self, disk: Disk, planted: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(disk.root), planted],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )  # fmt: skip
        self.said = ""

    def turn(self, word: str = "more") -> int:
        """Let it write one of each kind; returns how often it was refused until now."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        while not (line := self.process.stdout.readline()).startswith("waiting"):
            assert line, f"it ended: {self.said}"
            self.said += line
        return int(line.split()[1])

    def end(self) -> None:
        """Let it write once more and end."""
        self.turn("last")
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(240) == 0
        assert self.process.stdout is not None
        assert "closed" in self.process.stdout.read()

    def known(self) -> list[tuple[str, int]]:
        return [
            (kind, number)
            for kind, number in acknowledged(self.said.replace("refused ", "#"))
            if kind[0] != "#"
        ]


def fairway(disk: Disk, *words: str) -> subprocess.CompletedProcess[str]:
    """The real command line on that store."""
    return subprocess.run(
        [sys.executable, "-m", "fairway", *words],
        capture_output=True, text=True, check=False, timeout=240, cwd=disk.folder,
        env={**os.environ, "FAIRWAY_HOME": str(disk.root)},
    )  # fmt: skip


def test_a_disk_full_at_any_size_loses_nothing_and_goes_on_with_room(
    disk: Callable[..., Disk], full: bool, measured
) -> None:
    sizes = range(50) if full else range(0, 50, 12)
    refusals, lost = 0, list[str]()
    for pages in sizes:
        here = disk()
        program = Program(here)
        assert program.turn() == 0
        here.fill(pages * 3 * PAGE)
        for _ in range(4):
            refused = program.turn()
        assert refused, "it was never full"
        refusals += refused
        for words in (("runs",), ("show", "r1"), ("gc",)):
            done = fairway(here, *words)
            assert done.returncode == 0, f"{pages} pages left, {words}: {done.stdout}{done.stderr}"
        assert "r1" in fairway(here, "runs").stdout
        doctor = fairway(here, "doctor")
        assert doctor.returncode == 1
        assert "disk     WRONG" in doctor.stdout
        assert "log and tables agree" in doctor.stdout
        lost += Reader(here.root).complaints(program.known())
        here.enlarge(32 << 20)
        assert program.turn() == refused, "there is room, and it is refused"
        program.end()
        lost += Reader(here.root).complaints(program.known())
        here.away()
        assert lost == []
    measured(
        "T13",
        "A disk that is full, with 0 to 147 pages left, then larger again; one process all the while",
        goal="said, 0 lost, `runs`, `doctor` and `gc` work meanwhile, goes on without a restart",
        sizes=len(sizes), refused=refusals, lost=len(lost),
    )  # fmt: skip


def test_a_writer_that_does_not_say_that_the_disk_is_full_is_found(disk: Callable[..., Disk]) -> None:
    here = disk()
    program = Program(here, "errors are swallowed")
    program.turn()
    here.fill(2 * PAGE)
    program.turn()
    assert any(
        "is not in the store" in why or "lost" in why for why in Reader(here.root).complaints(program.known())
    )
    here.enlarge(32 << 20)
    program.end()


@pytest.mark.parametrize("killed", [False, True])
def test_a_store_that_nobody_has_open_can_be_looked_at_on_a_full_disk(
    disk: Callable[..., Disk], killed: bool
) -> None:
    here = disk()
    program = Program(here)
    program.turn()
    if killed:
        program.process.kill()
        program.process.wait()
    else:
        program.end()
    here.fill(0)
    for words in (("runs",), ("show", "r1"), ("gc",), ("models",)):
        done = fairway(here, *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    assert "r1" in fairway(here, "runs").stdout
    assert "log and tables agree" in fairway(here, "doctor").stdout


PROJECT = """
import fairway as fw

@fw.task
def make(number: int) -> bytes:
    print("making", number)
    return bytes([number]) * 300_000

@fw.pipeline
def main(first: int = 0) -> int:
    return sum(len(make(number)) for number in range(first, first + 12))
"""


@pytest.mark.parametrize("pages", [0, 1, 30, 150, 600])
def test_a_run_on_a_disk_that_fills_up_says_so_and_is_resumed_with_room(
    disk: Callable[..., Disk], pages: int
) -> None:
    here = disk()
    (here.folder / "project.py").write_text(PROJECT)
    first = fairway(here, "run", "project.py:main")
    assert first.returncode == 0, first.stderr
    here.fill(pages * PAGE)
    failed = fairway(here, "run", "project.py:main", "--first", "100")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "disk full" in failed.stderr
    assert "hint: " in failed.stderr
    assert "Traceback" not in failed.stderr
    for words in (("runs",), ("show",), ("logs",)):
        done = fairway(here, *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    here.enlarge(32 << 20)
    runs = [line.split() for line in fairway(here, "runs").stdout.splitlines()[1:]]
    if len(runs) == 2 and "done" not in runs[0]:
        resumed = fairway(here, "resume")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    again = fairway(here, "run", "project.py:main")
    assert again.returncode == 0, again.stderr
    assert "log and tables agree" in fairway(here, "doctor", "--content").stdout
