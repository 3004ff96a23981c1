"""Puts `planes` beside these tests on the path, which the import mode of the suite does not."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

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
