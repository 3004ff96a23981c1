"""Locks pin everything with hashes, name no address, and keep the core small."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PEERS = sorted((ROOT / "benchmarks" / "requirements").glob("*.txt"))


def pinned(path: Path) -> list[str]:
    """The lines that pin a package."""
    return [line for line in path.read_text("utf-8").splitlines() if re.match(r"[a-z0-9]", line)]


@pytest.mark.parametrize("path", [*LOCKS, *PEERS], ids=lambda path: path.name)
def test_a_lock_has_hashes_and_no_addresses(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(LOCKS) == 6
    assert "://" not in text
    assert not re.search(r"^-|(^|\s)/", text, re.MULTILINE)
    assert all("==" in line and line.endswith("\\") for line in pinned(path))


def test_the_core_is_small() -> None:
    core = next(path for path in LOCKS if path.name == "core.txt")
    assert len(pinned(core)) <= 24
