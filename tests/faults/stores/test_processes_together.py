"""Several processes have one database open: what one of them was told is kept is there for all others, whoever closes first."""

import subprocess
import sys
from pathlib import Path

from fairway.spec.event import Event, RunStarted
from fairway.spec.run import RunSpec
from fairway.stores import Layout, SqliteMetadata

OTHER = """
import sys
from pathlib import Path
from fairway.spec.event import Event, RunStarted
from fairway.spec.run import RunSpec
from fairway.stores import Layout, SqliteMetadata

metadata = SqliteMetadata(Layout(Path(sys.argv[1])))
metadata.append([Event(body=RunStarted(RunSpec(name=sys.argv[2], pipeline="p", project="/p.py")), run=sys.argv[2])])
print(*metadata.run_names())
metadata.close()
"""


def other(root: Path, run: str) -> set[str]:
    """Have another process record a run and close the database; returns the runs that it saw."""
    done = subprocess.run(
        [sys.executable, "-c", OTHER, root, run], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def start(run: str) -> Event:
    return Event(body=RunStarted(RunSpec(name=run, pipeline="p", project="/p.py")), run=run)


def test_a_process_that_reads_and_then_writes_keeps_one_log_with_all_others(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store")
    layout.prepare()
    other(layout.root, "r1")
    with SqliteMetadata(layout) as metadata:
        assert metadata.run_names() == ["r1"]
        metadata.append([start("r2")])
        assert other(layout.root, "r3") == {"r1", "r2", "r3"}
        metadata.append([start("r4")])
        assert set(metadata.run_names()) == {"r1", "r2", "r3", "r4"}
        assert other(layout.root, "r5") == {"r1", "r2", "r3", "r4", "r5"}
        metadata.append([start("r6")])
    assert other(layout.root, "r7") == {f"r{number}" for number in range(1, 8)}
