"""Puts `fakes` and the control plane of `tests/plane` on the path, which the import mode of the suite does not."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "plane"))
sys.path.insert(0, str(Path(__file__).parent.parent / "buckets"))
sys.path.insert(0, str(Path(__file__).parent.parent))

import servers
from grounds import Play, in_this_process, over_http, played
from planes import Accounts, Plane

from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata


@pytest.fixture
def fresh_plane(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Plane]:
    """A control plane of one test."""
    with (
        Accounts() as accounts,
        Plane(tmp_path_factory.mktemp("plane") / "volume", accounts, free_port()) as found,
    ):
        yield found.start()


@pytest.fixture(scope="module")
def shared_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane of one file of tests, whose content no test depends on."""
    with Accounts() as accounts, Plane(tmp_path_factory.mktemp("plane") / "volume", accounts, 0) as found:
        yield found.start()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[servers.Gateway]:
    """A server of object storage that keeps objects as files."""
    if why := servers.obtainable():
        pytest.skip(why)
    with servers.Gateway(tmp_path_factory.mktemp("gateway") / "objects", free_port()) as found:
        yield found


@pytest.fixture(params=[in_this_process, over_http], ids=["in this process", "over HTTP"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Runs work on a fresh ground."""
    return lambda work: played(request.param, tmp_path, work)


@pytest.fixture
def served(tmp_path: Path) -> Play:
    """Runs work on a fresh ground that is asked over HTTP."""
    (tmp_path / "shop").mkdir()
    return lambda work: played(over_http, tmp_path / "shop", work)


STORES: dict[str, Callable[[Path], SqliteMetadata]] = {"sqlite": lambda root: SqliteMetadata(Layout(root))}


@pytest.fixture(params=sorted(STORES))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SqliteMetadata]]:
    """Opens the same store of metadata again at each call, as another process would."""
    opened: list[SqliteMetadata] = []

    def again() -> SqliteMetadata:
        opened.append(STORES[request.param](tmp_path / "store"))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


@pytest.fixture
def store(make: Callable[[], SqliteMetadata]) -> SqliteMetadata:
    """A store of metadata."""
    return make()
