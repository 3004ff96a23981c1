import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairway.local import listening
from fairway.local.sources import snapshot
from fairway.local.workers import last_words
from fairway.spec.errors import UsageError


def test_a_port_in_use_is_said_with_what_to_do(free_port: Callable[[], int]) -> None:
    port = free_port()
    with listening.bind(port), pytest.raises(UsageError, match=f"port {port} is in use") as caught:
        listening.bind(port)
    assert "--port" in caught.value.hint
    listening.bind(port).close()


def test_the_first_free_port_skips_taken_ones(free_port: Callable[[], int]) -> None:
    port = free_port()
    with listening.bind_free({port}, port) as found:
        assert found.getsockname()[1] > port
        assert found.getsockname()[0] == "127.0.0.1"


def test_free_ports_are_looked_for_from_a_first_one(free_port: Callable[[], int]) -> None:
    first = free_port()
    with listening.bind_free((), first) as one, listening.bind_free((), first) as two:
        assert one.getsockname()[1] == first < two.getsockname()[1]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path, in place of the one for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="fw-") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield Path(name)


def test_the_sockets_folder_is_private_short_and_stable(tmp_path: Path, short: Path) -> None:
    root = tmp_path / ("very-long-name-" * 10)
    folder = listening.sockets_folder(root)
    assert folder == listening.sockets_folder(root) != listening.sockets_folder(tmp_path)
    assert folder.parent == short
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    root.mkdir()
    folder.chmod(0o755)
    other = listening.sockets_folder(root)
    assert other == listening.sockets_folder(root) != folder
    assert stat.S_IMODE(other.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_sockets_folder_is_passed_over(tmp_path: Path, short: Path) -> None:
    folder = listening.sockets_folder(tmp_path)
    folder.rmdir()
    (short / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(short / "elsewhere")
    found = listening.sockets_folder(tmp_path)
    assert found.parent == short
    assert not found.is_symlink()
    assert list((short / "elsewhere").iterdir()) == []


def test_too_long_places_are_passed_over(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    assert listening.sockets_folder(tmp_path).parent == short


def test_last_words_are_the_last_line_printed(tmp_path: Path) -> None:
    log = tmp_path / "w1.log"
    assert last_words(tmp_path, log) == ""
    log.write_text("loading\nerror: samples differ\n\n")
    assert last_words(tmp_path, log) == "samples differ"


def test_a_snapshot_keeps_places_and_is_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    files = [tmp_path / "a.py", tmp_path / "package" / "b.py"]
    for path in files:
        path.write_text("x = 1\n")
    with snapshot(tmp_path, files) as folder:
        assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.py")) == [
            "a.py",
            "package/b.py",
        ]
    assert not folder.exists()
