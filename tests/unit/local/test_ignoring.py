"""The rules of `.gitignore`, held against git itself."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from fairway.local.ignoring import Rules
from fairway.local.project_listing import listed


def words(text: str, *more: str) -> list[str]:
    """The words of a text, and some that have spaces."""
    return [*text.split(), *more]


PATHS = words(
    "a b.csv a.csv dir/a dir/b.csv dir/sub/a.csv dir/sub/x data/one.csv data/deep/two.csv .env a] a-b A.csv "
    "dir/inner.csv/file #x !y sub/dir/a x_y",
    "dir/sub/x y",
    "foo bar ",
)
PATTERNS = words(
    r"*.csv a /a dir/ dir /dir dir/* !a.csv !dir/sub/a.csv **/a.csv data/** dir/**/a.csv ** !*.csv [ab].csv [!a].csv "
    r"[a-z].csv ?.csv dir/sub dir/sub/ /data/one.csv #x \#x \!y a] []a] []-] * !*/ sub/** **/sub/** dir/** a** **a / // ! "
    r"[ a[ [[:alpha:]].csv [[:digit:]] .* \ a\ */a.csv */ !dir/ *.c?v A.csv [^a].csv a/**/b /**/a.csv **/ !**/ dir/*/a.csv "
    r"!data/one.csv /* !/dir /dir/* !/dir/sub a-b [a-] [+--].csv [--0]*",
    "foo bar ",
    "foo bar\\ ",
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-rules-of-the-user"))
    folder = tmp_path / "repository"
    for path in PATHS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


@pytest.mark.parametrize("seed", range(4))
def test_files_are_left_out_as_git_leaves_them_out(
    repository: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = random.Random(seed)
    for _ in range(25):
        above, below = (
            drawn.sample(PATTERNS, drawn.randint(1, 5)),
            drawn.sample(PATTERNS, drawn.randint(0, 3)),
        )
        (repository / ".gitignore").write_text("\n".join(above))
        (repository / "dir" / ".gitignore").write_text("\n".join(below))
        command = ["git", "-C", str(repository), "ls-files", "-o", "--exclude-standard", "-z"]
        said = subprocess.run(
            command, capture_output=True, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
        )
        with monkeypatch.context() as without_git:
            without_git.setenv("PATH", "/nowhere")
            found = listed(str(repository))
        assert set(found) == set(filter(None, said.stdout.decode().split("\0"))), (above, below)


def test_a_pattern_is_read_as_a_whole_path_within_its_folder() -> None:
    rules = Rules(["/data/", "*.bin"])
    assert rules.leave_out_below("data/deep/a.csv")
    assert rules.leave_out_below("x/y.bin")
    assert not rules.leave_out_below("other/data")
    assert not rules.leave_out_below("x/y.bin.txt")
