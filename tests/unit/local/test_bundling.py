"""The bundle of a project: which of its files travel, under which names, and with which digests."""

import os
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from fairway.local import bundling
from fairway.local.bundling import Bundle, bundle_path, collect
from fairway.local.digests import DigestCache
from fairway.spec.errors import UsageError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files below the folder of a project, each given as path and text."""

    def write(**files: str) -> Path:
        folder = tmp_path / "project"
        for name, text in {"churn.py": "import fairway\n", **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return write


def bundle(folder: Path, file: str = "churn.py", *named: Path) -> Bundle:
    """The bundle of a project, by a cache that lasts from one call to the next."""
    cache = DigestCache(str(folder.parent / "cache" / "digests.json"))
    return collect(str(folder / file), "", cache, [str(path) for path in named])


def paths(found: Bundle) -> list[str]:
    return [one.entry.path for one in found.files]


def git(folder: Path, *words: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(folder), *words]
    subprocess.run(command, check=True, capture_output=True)


def test_git_decides_in_a_repository(write: Write) -> None:
    folder = write(
        **{".gitignore": "*.csv\nout/\n", "a.csv": "", "kept.csv": "", "out/x": "", "data/b.txt": ""}
    )
    git(folder, "init", "-q")
    git(folder, "add", "-f", "kept.csv")
    (folder / ".git" / "info" / "exclude").write_text("private.txt\n")
    write(**{"private.txt": ""})
    assert paths(bundle(folder)) == [".gitignore", "churn.py", "data/b.txt", "kept.csv"]


def test_a_tracked_file_that_was_removed_does_not_travel(write: Write) -> None:
    folder = write(**{"gone.txt": ""})
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    (folder / "gone.txt").unlink()
    assert paths(bundle(folder)) == ["churn.py"]


def test_a_repository_within_the_project_travels_with_its_own_rules(write: Write) -> None:
    folder = write(**{"lib/.gitignore": "*.o\n", "lib/a.py": "", "lib/a.o": ""})
    git(folder / "lib", "init", "-q")
    git(folder, "init", "-q")
    assert paths(bundle(folder)) == ["churn.py", "lib/.gitignore", "lib/a.py"]


def test_a_project_that_a_repository_around_it_ignores_travels_all_the_same(write: Write) -> None:
    folder = write(**{"data.txt": ""})
    git(folder.parent, "init", "-q")
    (folder.parent / ".gitignore").write_text("project/\n")
    assert paths(bundle(folder)) == ["churn.py", "data.txt"]


def test_the_hook_of_another_repository_changes_nothing(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(**{".gitignore": "a.txt\n", "a.txt": ""})
    git(folder, "init", "-q")
    git(folder, "add", "-f", "a.txt")
    git(folder.parent, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(folder.parent / ".git"))
    assert paths(bundle(folder)) == [".gitignore", "a.txt", "churn.py"]


def test_the_rules_count_without_git_too(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(
        **{".gitignore": "*.csv\n!kept.csv\n/out\n", "a.csv": "", "kept.csv": "", "out/x": "", "b/out/y": ""}
    )
    monkeypatch.setenv("PATH", "/nowhere")
    assert paths(bundle(folder)) == [".gitignore", "b/out/y", "churn.py", "kept.csv"]


def test_stores_environments_and_caches_never_travel(write: Write) -> None:
    left_out = [
        ".fairway/store.json",
        ".venv/x",
        "env/pyvenv.cfg",
        "env/bin/python",
        "a/__pycache__/a.pyc",
        ".git/config",
    ]
    folder = write(**dict.fromkeys(left_out, ""))
    assert paths(bundle(folder)) == ["churn.py"]
    shutil.rmtree(folder / ".git")
    git(folder, "init", "-q")
    assert paths(bundle(folder)) == ["churn.py"]


def test_exclude_leaves_out_tracked_files_as_well(write: Write) -> None:
    folder = write(
        **{"pyproject.toml": '[tool.fairway]\nexclude = ["data/", "*.bin"]\n', "data/a": "", "x/b.bin": ""}
    )
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    assert paths(bundle(folder)) == ["churn.py", "pyproject.toml"]


def test_what_the_file_imports_travels_although_git_ignores_it(write: Write) -> None:
    files = {
        "churn.py": "import made\nfrom shop import rates\nimport fairway\n",
        ".gitignore": "made.py\nshop/\n",
        "made.py": "from deeper.inner import x\n",
        "deeper/inner.py": "x = 1\n",
        "shop/__init__.py": "",
        "shop/rates.py": "from . import base\n",
        "shop/base.py": "",
        "shop/notes.txt": "",
    }
    folder = write(**files)
    git(folder, "init", "-q")
    assert set(paths(bundle(folder))) == set(files) - {"shop/notes.txt"}


def test_a_file_that_the_user_names_travels_although_git_ignores_it(write: Write) -> None:
    folder = write(**{".gitignore": "*.csv\n", "a.csv": "", "b.csv": ""})
    git(folder, "init", "-q")
    assert "a.csv" in paths(bundle(folder, "churn.py", folder / "a.csv"))
    assert "b.csv" not in paths(bundle(folder, "churn.py", folder / "a.csv"))


def test_the_whole_project_around_a_package_in_src_travels(write: Write) -> None:
    folder = write(
        **{
            "pyproject.toml": "",
            "src/shop/__init__.py": "",
            "src/shop/flow.py": "import shop\n",
            "data/a": "",
        }
    )
    found = bundle(folder, "src/shop/flow.py")
    assert (found.file, found.module) == ("src/shop/flow.py", "shop.flow")
    assert paths(found) == [
        "churn.py",
        "data/a",
        "pyproject.toml",
        "src/shop/__init__.py",
        "src/shop/flow.py",
    ]


def test_a_link_within_the_project_travels_as_what_it_leads_to(write: Write) -> None:
    folder = write(**{"data/a.txt": "one"})
    (folder / "b.txt").symlink_to("data/a.txt")
    (folder / "linked").symlink_to("data")
    (folder / "dangling").symlink_to("nothing")
    found = {one.entry.path: one.entry.digest for one in bundle(folder).files}
    assert sorted(found) == ["b.txt", "churn.py", "data/a.txt", "linked/a.txt"]
    assert found["b.txt"] == found["data/a.txt"] == found["linked/a.txt"]


@pytest.mark.parametrize("aim", ["/etc/hostname", "..", ".", "../other"])
def test_a_link_out_of_the_project_or_into_itself_is_refused_with_the_line_to_add(
    write: Write, aim: str
) -> None:
    folder = write(**{"pyproject.toml": ""})
    (folder.parent / "other").mkdir()
    (folder / "out").symlink_to(aim)
    with pytest.raises(UsageError, match="out is a link to") as refused:
        bundle(folder)
    assert 'exclude = ["/out"]' in refused.value.hint
    (folder / "pyproject.toml").write_text('[tool.fairway]\nexclude = ["/out"]\n')
    assert paths(bundle(folder)) == ["churn.py", "pyproject.toml"]


def test_a_bundle_that_is_too_large_is_refused_with_the_line_to_add(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "MOST_BYTES", 1000)
    folder = write(**{"data/a": "x" * 600, "data/b": "x" * 600, "small": "x"})
    with pytest.raises(UsageError, match=r"data/ ") as refused:
        bundle(folder)
    assert 'exclude = ["/data/"]' in refused.value.hint


def test_a_project_file_in_the_home_folder_itself_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write()
    monkeypatch.setenv("HOME", str(folder))
    with pytest.raises(UsageError, match="everything there would be sent"):
        bundle(folder)


def test_a_project_file_that_is_excluded_is_told(write: Write) -> None:
    folder = write(**{"pyproject.toml": '[tool.fairway]\nexclude = ["*.py"]\n', "a.txt": ""})
    with pytest.raises(UsageError, match=r"churn.py itself is left out by exclude"):
        bundle(folder)
    (folder / "pyproject.toml").write_text('[tool.fairway]\nexclude = ["*.py", "!/churn.py"]\n')
    assert paths(bundle(folder)) == ["a.txt", "churn.py", "pyproject.toml"]


def test_an_executable_file_stays_one(write: Write) -> None:
    folder = write(**{"tool.sh": ""})
    (folder / "tool.sh").chmod(0o755)
    assert {one.entry.path: one.entry.executable for one in bundle(folder).files} == {
        "churn.py": False,
        "tool.sh": True,
    }


def test_equal_files_give_an_equal_bundle_wherever_they_lie(write: Write, tmp_path: Path) -> None:
    folder = write(**{"b/a": "1", "a/b": "2"})
    other = tmp_path / "elsewhere"
    shutil.copytree(folder, other)
    assert bundle(folder).digest == bundle(other).digest


def test_a_hundred_edits_of_equal_size_within_a_second_give_a_hundred_digests(write: Write) -> None:
    folder = write(**{"n.txt": "000"})
    found: set[str] = set()
    for number in range(100):
        (folder / "n.txt").write_text(f"{number:03}")
        stamp = 1_700_000_000_000_000_000
        os.utime(folder / "n.txt", ns=(stamp, stamp))
        found.add(bundle(folder).digest)
    assert len(found) == 100


def test_a_file_that_has_settled_is_not_read_again(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairway.local import digests

    monkeypatch.setattr(digests, "_SETTLED", -10_000_000_000)
    folder = write(**{"a.txt": "one"})
    first = bundle(folder)
    opened: list[str] = []
    real = open

    def counting(path: object, *more: object) -> object:
        opened.append(str(path))
        return real(path, *more)  # type: ignore[call-overload]

    monkeypatch.setattr(digests, "open", counting, raising=False)
    assert bundle(folder).digest == first.digest
    assert not [path for path in opened if path.endswith("a.txt")]


def test_a_damaged_cache_of_digests_is_only_slower(write: Write) -> None:
    folder = write()
    cache = folder.parent / "cache" / "digests.json"
    cache.parent.mkdir()
    cache.write_text('{"a": 1')
    assert paths(bundle(folder)) == ["churn.py"]


def test_names_are_composed_and_two_spellings_of_one_name_are_refused(write: Write) -> None:
    composed, apart = "ü.txt", unicodedata.normalize("NFD", "ü.txt")
    folder = write(**{apart: ""})
    assert composed in paths(bundle(folder))
    write(**{composed: ""})
    with pytest.raises(UsageError, match="differ only in how they are written"):
        bundle(folder)


@pytest.mark.parametrize("name", ["a\\b.txt", "a\nb.txt", b"\xff.txt"])
def test_a_name_that_cannot_travel_is_refused(write: Write, name: str | bytes) -> None:
    folder = write()
    open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb").close()
    with pytest.raises(UsageError, match="cannot travel"):
        bundle(folder)


def test_paths_of_windows_travel_with_forward_slashes() -> None:
    assert bundle_path(PureWindowsPath("data\\a.csv")) == "data/a.csv"
    for path in (
        PureWindowsPath("C:\\a"),
        PureWindowsPath("C:a"),
        PurePosixPath("C:/a"),
        PurePosixPath("/a"),
    ):
        with pytest.raises(UsageError, match="not a path within the project"):
            bundle_path(path)
    with pytest.raises(UsageError, match="not a path within the project"):
        bundle_path(PurePosixPath("a/../../b"))
