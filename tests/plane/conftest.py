"""Puts `planes` beside these tests on the path, which the import mode of the suite does not."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "buckets"))
sys.path.insert(0, str(Path(__file__).parent.parent))

import servers
from planes import Accounts, Plane


@pytest.fixture(scope="session")
def accounts() -> Iterator[Accounts]:
    """The API server's stand-in, which knows the accounts of some tokens."""
    with Accounts() as found:
        yield found


@pytest.fixture
def plane(tmp_path: Path, accounts: Accounts, free_port: Callable[[], int]) -> Iterator[Plane]:
    """A control plane that is ready."""
    with Plane(tmp_path / "volume", accounts, free_port()) as found:
        yield found.start()


@pytest.fixture
def gateway(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> Iterator[servers.Gateway]:
    """A server of object storage, whose keys are in the environment of what a test starts."""
    if why := servers.obtainable():
        pytest.skip(why)
    for name, value in servers.credentials().items():
        monkeypatch.setenv(name, value)
    with servers.Gateway(tmp_path / "gateway", free_port()) as found:
        yield found
