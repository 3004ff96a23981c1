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
from planes import Accounts, Plane


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
