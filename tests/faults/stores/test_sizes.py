"""Stores as large as they get: looking something up takes as long as in a small one, and sweeping little memory."""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from fairway.spec.artifact import Artifact
from fairway.spec.event import Event, RunStarted, StepCalled, StepEnded
from fairway.spec.run import Phase, RunSpec, StepSpec
from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata

SWEEP = """
import json, resource, sys, time
from pathlib import Path
from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata
root = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun = time.perf_counter()
with SqliteMetadata(Layout(root)) as metadata:
    swept = FileArtifacts(root).sweep(metadata.digests(), older_than=3600, dry=True)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"grown_kib": grown, "seconds": time.perf_counter() - begun, "blobs": swept.blobs}))
"""


def content(number: int) -> bytes:
    return b"artifact %d" % number


def digest(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


def filled(root: Path, count: int) -> None:
    """A store with that many artifacts, of which every second one is referred to by a step, as if it had grown over years.

    The files are laid out without the syncs that storing one by one takes.
    """
    layout = Layout(root)
    layout.prepare()
    for prefix in range(256):
        (layout.blobs / f"{prefix:02x}").mkdir(exist_ok=True)
    old = time.time() - 86_400
    for number in range(count):
        name = digest(number)
        path = f"{layout.blobs}/{name[:2]}/{name}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o444)
        os.write(fd, content(number))
        os.utime(fd, (old, old))
        os.close(fd)
    with SqliteMetadata(layout) as metadata:
        steps = max(1, count // 2 // 100)
        events: list[Event] = []
        for step in range(steps):
            run = f"r{step // 100}"
            if step % 100 == 0:
                events.append(
                    Event(body=RunStarted(RunSpec(name=run, pipeline="p", project="/p.py")), run=run)
                )
            name = f"s{step % 100}"
            events.append(
                Event(body=StepCalled(StepSpec(name=name, task="t", inputs={})), run=run, step=name)
            )
            outputs = tuple(
                Artifact(format="file", digest=digest(number), size=len(content(number)))
                for number in range(step * 200, min(count, step * 200 + 200), 2)
            )
            events.append(Event(body=StepEnded(Phase.SUCCEEDED, outputs=outputs), run=run, step=name))
        for place in range(0, len(events), 200):
            metadata.append(events[place : place + 200])


MANY = """
import fairway as fw

@fw.task
def one(i: int) -> int:
    return i

@fw.pipeline
def many(count: int = 1000, width: int = 1000) -> int:
    for start in range(0, count, width):
        one.map(range(start, start + width))
    return count
"""


class Scanning(FileArtifacts):
    """A planted mistake: it looks through a folder for what it wants."""

    def open(self, artifact: Artifact, *, verified: bool = False, name: str = "") -> Path | bytes:
        for folder in os.listdir(self._layout.blobs):
            if len(folder) == 2 and artifact.digest in os.listdir(self._layout.blobs / folder):
                break
        return super().open(artifact, verified=verified, name=name)


def lookup(root: Path, count: int, store: type[FileArtifacts] = FileArtifacts, tries: int = 2000) -> float:
    """Microseconds of the processor that the middle one of some lookups takes, whatever else the machine does."""
    times: list[float] = []
    for number in range(tries):
        artifacts = store(root)
        wanted = number * 7919 % count
        begun = time.thread_time()
        artifacts.open(Artifact(format="file", digest=digest(wanted), size=len(content(wanted))))
        times.append(time.thread_time() - begun)
    return statistics.median(times) * 1e6


def swept(root: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(root)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_a_large_store_is_looked_up_as_fast_as_a_small_one_and_swept_in_little_memory(
    tmp_path: Path, full: bool, measured
) -> None:
    few, many = (10_000, 1_000_000) if full else (500, 4_000)
    filled(tmp_path / "few", few)
    filled(tmp_path / "many", many)
    rounds = [(lookup(tmp_path / "few", few), lookup(tmp_path / "many", many)) for _ in range(5)]
    small, large = (statistics.median(pair[side] for pair in rounds) for side in (0, 1))
    seen = swept(tmp_path / "many")
    assert seen["blobs"] == many // 2
    assert seen["grown_kib"] * 1024 < 32 * many + (24 << 20)
    if full:
        assert large < 3 * small
    measured(
        "T25",
        "A store of many artifacts: lookups, and a sweep of those that nothing refers to",
        goal="lookups flat, memory of a sweep bounded (16 bytes for each one kept, and some)",
        artifacts=many, lookup_us=round(large, 1), lookup_us_at_10_000=round(small, 1),
        sweep_seconds=round(seen["seconds"], 1), sweep_grown_mib=round(seen["grown_kib"] / 1024, 1),
    )  # fmt: skip


def test_a_run_of_many_steps_leaves_a_small_record(tmp_path: Path, full: bool, measured) -> None:
    count, width = (10_000, 1_000) if full else (200, 100)
    (tmp_path / "many.py").write_text(MANY)
    words = ("run", "many.py", "--count", str(count), "--width", str(width), "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "fairway", *words],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "FAIRWAY_HOME": str(tmp_path / ".fairway")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with SqliteMetadata(Layout(tmp_path / ".fairway")) as metadata:
        (name,) = metadata.run_names()
        begun = time.perf_counter()
        steps = metadata.run(name).steps
        seconds = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in (tmp_path / ".fairway").glob("fairway.db*"))
    assert len(steps) == count
    assert size < 5_000 * count + (1 << 20)
    measured(
        "T25-run",
        f"A run of {count:,} steps, in maps {width:,} wide",
        goal="its events and tables below 50 MB",
        steps=len(steps), database_mib=round(size / 2**20, 1), read_whole_in_seconds=round(seconds, 2),
    )  # fmt: skip


def test_a_store_that_searches_is_found(tmp_path: Path) -> None:
    """The comparison of the sizes, with a store whose lookups grow."""
    filled(tmp_path / "few", 20)
    filled(tmp_path / "many", 30_000)
    few, many = (
        lookup(tmp_path / name, count, Scanning, 50) for name, count in (("few", 20), ("many", 30_000))
    )
    assert many > 3 * few
