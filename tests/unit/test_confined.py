"""Folders that only this user may read."""

import multiprocessing
import os
from pathlib import Path

from fairway import confined


def make(home: Path, name: str) -> None:
    """Make a folder from a working folder."""
    os.chdir(home)
    confined.make_folder(name)


def test_a_folder_is_made_from_a_path_below_the_working_folder(tmp_path: Path) -> None:
    # In a process of its own, which can be ended if it never comes back.
    process = multiprocessing.get_context("spawn").Process(target=make, args=(tmp_path, "cache/environments"))
    process.start()
    process.join(60)
    ended = process.exitcode
    process.kill()
    assert ended == 0
    assert (tmp_path / "cache" / "environments").stat().st_mode & 0o777 == 0o700
