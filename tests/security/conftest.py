"""Puts the project folder of the end-to-end tests and the helpers beside these tests on the path."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "e2e")]

from projects import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh folder."""
    return Project(tmp_path)
