"""`--full` asks for the sizes that a release is proven with; `measured` writes down what such a run saw.

It is written once every test of the file has passed, those of planted bugs as well: a harness that would not have seen
one has proven nothing.
"""

import json
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer

sys.path.insert(0, str(Path(__file__).parent))

import fairway
from distribution import Distribution
from fairway.spec.host import THREAD_VARIABLES

RESULTS = Path(__file__).parent / "results"

Figure = str | int | float | bool


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="full sizes; the figures go to tests/results")
    parser.addoption(
        "--soak", type=float, default=30.0, metavar="MINUTES", help="how long load lasts with --full"
    )


_RUNTIME = pytest.StashKey[str]()

_PORTS = 500
_FIRST_PLATFORM_PORT = 10_000
_FIRST_FREE_PORT = 20_000
"""Both below the ports that a system gives to whoever asks for any."""


def _worker() -> int:
    """Number of this worker of the test runner, small enough to find its ports by it."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 20


# Threads of OpenMP spin while they wait for each other: two take five times the time of one for data as small as here, and
# more on a busy machine. Steps have one as well.
for _name in THREAD_VARIABLES:
    os.environ.setdefault(_name, "1")


def pytest_configure(config: pytest.Config) -> None:
    """Let the runs of these tests share the machine among themselves only, and each worker's with nobody's.

    The key of their stores is one, whatever home a test gives to the commands that it starts. No setting of whoever runs
    the tests reaches them, but for where the lab is, which is none of Fairway's.
    """
    for name in [name for name in os.environ if name.startswith("FAIRWAY_")]:
        if not name.startswith("FAIRWAY_LAB_"):
            del os.environ[name]
    # Without it every process that a test starts compiles all that it imports, which takes half a minute for some libraries.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    config.stash[_RUNTIME] = os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="fairway-tests-")
    os.environ["XDG_STATE_HOME"] = os.path.join(config.stash[_RUNTIME], "state")
    # An endpoint that ends and comes back finds its port again: no other worker's tests take it meanwhile.
    os.environ["FAIRWAY_FIRST_PORT"] = str(_FIRST_PLATFORM_PORT + _worker() * _PORTS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Distribution | None:
    """Distribute files as this suite needs it; other ways of distributing tests stay as they are."""
    return Distribution(config, log) if config.getvalue("dist") == "loadfile" else None


# An example may take its time: on a busy machine, a deadline fails tests that are right.
hypothesis.settings.register_profile(
    "fairway", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("fairway")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Clear away what was kept for the time of the tests."""
    shutil.rmtree(config.stash[_RUNTIME], ignore_errors=True)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Gives TCP ports on loopback that nobody listens on, never one twice, and none that another worker's tests are given.

    An endpoint that is removed loses its port to whoever asks next: a test that wants a port back names one of these.
    """
    first = _FIRST_FREE_PORT + _worker() * _PORTS
    candidates = iter(range(first, first + _PORTS))

    def give() -> int:
        for port in candidates:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise RuntimeError("no port is left for the tests of this worker")

    return give


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the sizes of a release are asked for; otherwise a test takes a few seconds."""
    return bool(request.config.getoption("--full"))


Measured = Callable[..., None]

_FAILED = pytest.StashKey[bool]()
"""Whether a test of a file has failed."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember of a file that one of its tests has failed."""
    report = yield
    module = item.getparent(pytest.Module)
    if report.failed and module is not None:
        module.stash[_FAILED] = True
    return report


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[dict[str, object]]]:
    """What the tests of a file have measured; written behind the last of them, when none has failed."""
    found: list[dict[str, object]] = []
    yield found
    if request.node.stash.get(_FAILED, False):
        return
    for row in found:
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(row, indent=2, ensure_ascii=False)
        (RESULTS / f"{row['id']}.json").write_text(f"{text}\n", "utf-8")


@pytest.fixture
def measured(
    full: bool, rows: list[dict[str, object]], record_property: Callable[[str, object], None]
) -> Measured:
    """Call it as `measured("T4", "Kills of steps, hosts, drivers", goal="0 lost", kills=500, lost=0)` after the checks.

    At full size it makes `tests/results/T4.json`, from which `python tests/report.py` makes `docs/reliability.md`.
    """

    def write(identity: str, title: str, *, goal: str, **seen: Figure) -> None:
        for name, figure in seen.items():
            record_property(name, figure)
        if not full:
            return
        row: dict[str, object] = {
            "id": identity,
            "title": title,
            "goal": goal,
            "seen": seen,
            "date": datetime.now(UTC).date().isoformat(),
            "fairway": fairway.__version__,
            "commit": _commit(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }
        rows.append(row)

    return write


def _commit() -> str:
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=RESULTS.parent,
    )
    return said.stdout.strip() or "unknown"
