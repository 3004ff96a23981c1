import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fairway.local import platforms
from fairway.spec.errors import UsageError


def sealed(text: str) -> str:
    """What only one user can add to a token."""
    return hashlib.sha256(b"key" + text.encode()).hexdigest()[:32]


@pytest.mark.parametrize("text", ["", "short", "f" * 64, "f" * 96])
def test_a_token_that_this_user_did_not_make_is_made_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "platform").mkdir()
    path = tmp_path / "platform" / "token"
    path.write_text(text)
    path.chmod(0o600)
    assert platforms.token(tmp_path, sealed) != text
    assert platforms.token(tmp_path, sealed) == path.read_text()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_token_that_others_could_read_is_made_anew(tmp_path: Path, mode: int) -> None:
    token = platforms.token(tmp_path, sealed)
    (tmp_path / "platform" / "token").chmod(mode)
    assert platforms.token(tmp_path, sealed) != token


def test_a_link_in_place_of_the_token_is_not_followed(tmp_path: Path) -> None:
    token = platforms.token(tmp_path / "store", sealed)
    (tmp_path / "known").write_text(token)
    (tmp_path / "store" / "platform" / "token").unlink()
    (tmp_path / "store" / "platform" / "token").symlink_to(tmp_path / "known")
    assert platforms.token(tmp_path / "store", sealed) != token
    assert (tmp_path / "known").read_text() == token


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    token = platforms.token(tmp_path, sealed)
    assert token[64:] == sealed(token[:64])
    assert platforms.token(tmp_path, sealed) == token
    assert stat.S_IMODE((tmp_path / "platform" / "token").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "platform").iterdir()) == ["token"]


def test_many_processes_get_one_token(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from fairway.local import platforms;"
    code += "print(platforms.token(Path(sys.argv[1]), lambda text: text[:32]))"
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
