"""A second user of the machine tries every file of this user's, and leaves files for this user everywhere."""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from forging import forge
from projects import Project
from stranger import UID, as_stranger, given_away, needs_one, reached
from test_foreign_stores import LOOKING, ONE, USING

pytestmark = needs_one

USED = """
@fw.task
def folder() -> fw.Folder:
    os.makedirs("out/sub", exist_ok=True)
    open("out/sub/text", "w").write("content" * 1000)
    return fw.Folder("out")

@fw.task
def count(place: fw.Folder) -> list[int]:
    print("counting")
    fw.log(loss=1.0)
    fw.show("<svg xmlns='http://www.w3.org/2000/svg'><circle r='3'/></svg>", title="circle")
    return list(range(10_000))

@fw.pipeline
def main():
    return count(folder())

@fw.endpoint
def echo(text: str) -> str:
    return text
"""


class Used:
    """Everything that Fairway keeps for a user, in folders that everybody may write to, made under a mask of nothing."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "mine").mkdir()
        (place / "mine").chmod(0o1777)
        self.project = Project(place / "mine")
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
            (place / name).mkdir()
            (place / name).chmod(0o1777)
            self.project.environment[name] = str(place / name)
        self.project.write(USED)
        self.project.fairway("run", "project.py")
        self.project.fairway("deploy", "project.py", "--private")
        self.project.fairway("backup", "copy")
        again = self.project.environment | {"FAIRWAY_HOME": str(place / "mine" / "again")}
        self.project.environment, kept = again, self.project.environment
        self.project.fairway("restore", "copy")
        self.project.environment = kept
        self.store = place / "mine" / ".fairway"

    def kept(self) -> list[Path]:
        """Every file, folder, pipe and socket that Fairway has made here, each folder before what is in it."""
        tops = [self.store, self.place / "mine" / "copy", self.place / "mine" / "again"]
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
            tops += (self.place / name).iterdir()
        return [path for top in tops for path in (top, *sorted(top.rglob("*"))) if not path.is_symlink()]

    def processes(self) -> list[int]:
        """The platform and its workers."""
        found = [json.loads((self.store / "platform" / "platform.json").read_text())["pid"]]
        return found + [int(path.read_text().split()[0]) for path in self.store.glob("endpoints/*/r*/w*.pid")]


@pytest.fixture(scope="module")
def used(open_place_of_file: Path) -> Iterator[Used]:
    before = os.umask(0)
    project = None
    try:
        made = Used(open_place_of_file)
        project = made.project
        yield made
    finally:
        os.umask(before)
        if project is not None:
            project.fairway("down", expect=None)


def test_nothing_that_is_kept_can_be_read_written_moved_or_listed(used: Used) -> None:
    kept = used.kept()
    kinds = {stat.S_IFMT(path.stat().st_mode) for path in kept}
    assert {stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK} <= kinds
    assert {"key", "token", "fairway.db", "order"} <= {path.name for path in kept}
    assert reached(kept, home=used.place) == []


def test_each_file_keeps_others_out_by_itself(used: Used) -> None:
    """Somebody may open the folders: a backup program, a careless `chmod`."""
    opened = [path for path in used.kept() if path.is_dir()]
    modes = [path.stat().st_mode for path in opened]
    for path in opened:
        path.chmod(0o755)
    try:
        files = [path for path in used.kept() if not path.is_dir() and not path.is_socket()]
        assert reached(files, home=used.place) == []
    finally:
        for path, mode in zip(opened, modes, strict=True):
            path.chmod(mode)


def test_processes_tell_nothing(used: Used) -> None:
    token = (used.store / "platform" / "token").read_text().strip()
    for pid in used.processes():
        paths = [Path(f"/proc/{pid}/{name}") for name in ("environ", "mem", "maps", "fd", "cwd/project.py")]
        assert reached(paths, home=used.place) == []
        assert token.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert as_stranger("kill", "-0", str(pid), home=used.place, folder=used.place).returncode != 0


def test_what_the_tries_can_see_is_seen(open_place: Path) -> None:
    (open_place / "folder").mkdir()
    (open_place / "folder").chmod(0o777)
    (open_place / "file").write_text("x")
    (open_place / "file").chmod(0o666)
    found = reached([open_place / "folder", open_place / "file"], home=open_place)
    assert {line.split()[0] for line in found} == {"listed", "planted", "read", "wrote", "may"}


@pytest.fixture
def mine(open_place: Path) -> Project:
    """A project of this user, in a folder that everybody may write to."""
    (open_place / "mine").mkdir(mode=0o777)
    (open_place / "mine").chmod(0o1777)
    project = Project(open_place / "mine")
    project.environment["HOME"] = str(open_place / "home")
    project.write(ONE)
    return project


def planted(project: Project, script: str) -> None:
    """Let the other user run a script in the folder of the project."""
    done = as_stranger("sh", "-ec", script, home=project.folder, folder=project.folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [*LOOKING, *USING, ("doctor",), ("trust",)], ids=" ".join)
def test_a_store_of_the_other_user_is_neither_used_nor_looked_at(
    mine: Project, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "marks").mkdir()
    evil = mine.folder / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'marks' / 'import')!r}, 'w').close()\n")
    forge(mine.folder / ".fairway", tmp_path / "marks", str(evil))
    given_away(mine.folder / ".fairway")
    before = {path: path.lstat().st_mtime_ns for path in (mine.folder / ".fairway").rglob("*")}
    done = mine.fairway(*words, expect=1)
    assert f"belongs to another user (id {UID})" in done.stderr
    assert "hint: " in done.stderr
    assert {path: path.lstat().st_mtime_ns for path in (mine.folder / ".fairway").rglob("*")} == before
    assert os.listdir(tmp_path / "marks") == []


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("XDG_STATE_HOME", "state"),
        ("XDG_RUNTIME_DIR", "runtime"),
        ("XDG_CACHE_HOME", "cache"),
        ("HOME", "home"),
    ],
)
def test_a_folder_of_the_other_user_in_place_of_ones_own_gives_nothing_away(
    mine: Project, name: str, where: str
) -> None:
    planted(
        mine, f"mkdir {where} && chmod 777 {where} && mkdir {where}/fairway && chmod 777 {where}/fairway"
        f" && head -c 32 /dev/zero > {where}/fairway/key && mkdir -p {where}/.local/state/fairway"
    )  # fmt: skip
    mine.environment[name] = str(mine.folder / where)
    if name == "HOME":
        for other in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            mine.environment.pop(other, None)
    done = mine.fairway("run", "project.py", expect=None)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    made = [path for path in (mine.folder / where).rglob("*") if path.lstat().st_uid == os.geteuid()]
    assert reached(made, home=mine.folder) == []
    key = mine.folder / where / "fairway" / "key"
    assert key.read_bytes() == bytes(32)
    if name == "XDG_STATE_HOME":
        assert done.returncode == 1
        assert "another user owns it" in done.stderr or "others may write to it" in done.stderr


@pytest.mark.parametrize("name", ["cancer.py", "saved/count-circle.svg", "copied"])
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_that_the_other_user_left_leads_no_command_to_this_users_files(
    mine: Project, tmp_path: Path, name: str, there: bool
) -> None:
    precious = tmp_path / "precious"
    if there:
        precious.write_text("precious")
    mine.write(USED)
    mine.fairway("run", "project.py")
    planted(mine, f"mkdir -p -m 777 saved && ln -s {precious} {name}")
    # A folder without the sticky bit: there, the system itself follows such links.
    mine.folder.chmod(0o777)
    for words in (("init", "--force"), ("show", "--save", "saved"), ("backup", "copied")):
        mine.fairway(*words, expect=None)
    assert (precious.read_text() if precious.exists() else "") == ("precious" if there else "")


def test_a_backup_that_the_other_user_carried_is_checked_and_restored_private(
    mine: Project, tmp_path: Path
) -> None:
    mine.fairway("run", "project.py")
    mine.fairway("backup", "copy")
    given_away(mine.folder / "copy")
    mine.environment["FAIRWAY_HOME"] = str(mine.folder / "again")
    mine.fairway("restore", "copy")
    made = [mine.folder / "again", *(mine.folder / "again").rglob("*")]
    assert {path.stat().st_uid for path in made} == {os.geteuid()}
    assert reached(made, home=mine.folder) == []
    shutil.rmtree(mine.folder / "again")
    next((mine.folder / "copy").glob("runs/*/results/*.json")).write_text("other")
    assert "does not match its digest" in mine.fairway("restore", "copy", expect=1).stderr
