"""Puts `places` beside these tests on the path, which the import mode of the suite does not."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from places import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Makes a folder with a project: `place(text, planted=…)`; what it started is ended with the test."""
    made: list[Place] = []

    def make(text: str, *, planted: str = "") -> Place:
        made.append(Place(tmp_path / f"place{len(made)}", text, planted=planted))
        return made[-1]

    yield make
    for one in made:
        one.end()
