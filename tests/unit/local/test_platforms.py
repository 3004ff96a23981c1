import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fairway.local import platforms
from fairway.spec.errors import UsageError


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    token = platforms.token(tmp_path)
    assert len(token) == 64
    assert platforms.token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "platform" / "token").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "platform").iterdir()) == ["token"]


def test_many_processes_get_one_token(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from fairway.local import platforms;"
    code += "print(platforms.token(Path(sys.argv[1])))"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in started}) == 1


def test_the_record_counts_only_while_the_lock_is_held(tmp_path: Path) -> None:
    with platforms.PlatformLock(tmp_path) as lock:
        assert platforms.running(tmp_path) is None
        record = lock.announce(7700, 1.0)
        assert platforms.running(tmp_path) == record
        assert record.url == "http://127.0.0.1:7700"
        assert stat.S_IMODE((tmp_path / "platform" / "platform.json").stat().st_mode) == 0o600
    assert platforms.running(tmp_path) is None


def test_a_record_left_by_a_killed_platform_does_not_count(tmp_path: Path) -> None:
    with platforms.PlatformLock(tmp_path) as lock:
        lock.announce(7700, 1.0)
        left = (tmp_path / "platform" / "platform.json").read_bytes()
    (tmp_path / "platform" / "platform.json").write_bytes(left)
    assert platforms.running(tmp_path) is None


def test_a_second_platform_is_refused_with_the_first_ones_process_id(tmp_path: Path) -> None:
    with (
        platforms.PlatformLock(tmp_path),
        pytest.raises(UsageError, match=str(os.getpid())),
        platforms.PlatformLock(tmp_path),
    ):
        pass
    with platforms.PlatformLock(tmp_path):
        pass


def test_a_platform_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"format": 999}')
    with pytest.raises(Exception, match="newer Fairway"):
        platforms.start(tmp_path)
