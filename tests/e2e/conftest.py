"""Puts `projects` beside these tests on the path, which the import mode of the suite does not."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from projects import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh folder."""
    return Project(tmp_path)
