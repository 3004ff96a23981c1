"""A run on a target from the command line: what is sent, what is followed, and what becomes of it at Ctrl-C."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project, wait_for
from standin import ApiServer
from team_targets import backed, on_team

TEXT = """
from pathlib import Path
from rates import RATE

@fw.task
def double(value: int) -> float:
    print("doubling", value)
    return value * RATE

@fw.task
def hold(gate: str) -> str:
    while not Path(gate).exists():
        time.sleep(0.02)
    return "let go"

@fw.pipeline
def main(numbers: list[int] = [1], data: Path = Path("data.csv"), gate: str = ""):
    \"\"\"Double numbers.\"\"\"
    print("read", Path(data).read_text())
    if gate:
        return hold(gate)
    return [double(number) for number in numbers]
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ApiServer]:
    """A cluster whose control plane hands runs to a platform process of this machine."""
    folder = tmp_path / "cluster"
    with backed(folder) as server:
        try:
            yield server
        finally:
            (folder / "gate").touch()


@pytest.fixture
def project(tmp_path: Path, cluster: ApiServer) -> Project:
    made = on_team(tmp_path / "shop", cluster)
    made.write(TEXT)
    (made.folder / "rates.py").write_text("RATE = 2\n")
    (made.folder / "data.csv").write_text("some data")
    return made


def test_a_run_on_a_target_reads_like_one_on_this_machine(project: Project, cluster: ApiServer) -> None:
    done = project.fairway("run", "project.py", "--numbers", "2", "3", "--target", "team")
    assert "uploaded 3 files, " in done.stderr
    assert re.search(r"^main  run \w+  on team$", done.stderr, re.MULTILINE)
    assert "read some data" in done.stderr
    assert re.search(r"double value=2 +done", done.stderr)
    assert "Done in " in done.stderr
    assert not (project.folder / ".fairway").exists()
    name = json.loads(project.fairway("runs", "--target", "team", "--json").stdout)[0]["name"]
    for words in (["show", name], ["logs", name], ["follow", name], ["compare", name, name]):
        told = project.fairway(*words, "--target", "team")
        assert told.stdout or told.stderr
    assert "doubling 3" in project.fairway("logs", name, "--target", "team").stdout


def test_only_what_changed_is_sent_the_next_time(project: Project, cluster: ApiServer) -> None:
    project.fairway("run", "project.py", "--target", "team")
    before = len(cluster.plane.sent)
    assert "uploaded" not in project.fairway("run", "project.py", "--target", "team").stderr
    (project.folder / "rates.py").write_text("RATE = 3\n")
    assert "uploaded 1 file, 9 B to team" in project.fairway("run", "project.py", "--target", "team").stderr
    assert len(cluster.plane.sent) == before + 2  # the file, and the list of all files


def test_flags_come_from_the_description_and_errors_are_those_of_a_run_here(project: Project) -> None:
    told = project.fairway("run", "project.py", "--number", "2", "--target", "team", expect=2).stderr
    assert "main has no flag --number" in told
    assert "--numbers" in project.fairway("run", "project.py", "--target", "team", "--help").stdout


def test_a_plan_on_a_target_names_the_steps(project: Project) -> None:
    project.write(TEXT.replace('print("read", Path(data).read_text())', ""))
    planned = project.fairway("plan", "project.py", "--numbers", "2", "3", "--target", "team").stdout
    assert len(re.findall(r"double.* run ", planned)) == 2, planned


def test_a_file_of_the_project_is_named_from_any_folder_and_one_outside_is_refused(
    project: Project, tmp_path: Path
) -> None:
    (project.folder / ".gitignore").write_text("*.csv\n")
    (project.folder / "other.csv").write_text("other data")
    here = project.folder
    project.folder = tmp_path
    done = project.fairway("run", "shop/project.py", "--data", "shop/other.csv", "--target", "team")
    assert "read other data" in done.stderr
    (tmp_path / "outside.csv").write_text("")
    words = ["run", "shop/project.py", "--data", str(tmp_path / "outside.csv"), "--target", "team"]
    assert "outside.csv is not sent with the project" in project.fairway(*words, expect=2).stderr
    project.folder = here


def test_a_secret_is_not_sent_until_the_project_says_that_it_is_none(
    project: Project, cluster: ApiServer
) -> None:
    (project.folder / "settings.yaml").write_text("db_password: sw0rdfish-of-9\n")
    told = project.fairway("run", "project.py", "--target", "team", expect=2).stderr
    assert "settings.yaml is not sent to team, because it holds what looks like a password" in told
    assert 'exclude = ["/settings.yaml"]' in told
    assert cluster.plane.sent == []
    (project.folder / "pyproject.toml").write_text('[tool.fairway]\nexclude = ["!/settings.yaml"]\n')
    assert "uploaded 5 files" in project.fairway("run", "project.py", "--target", "team").stderr


def test_the_answer_to_a_submission_may_be_lost_and_the_run_begins_once(
    project: Project, cluster: ApiServer
) -> None:
    cluster.plane.lost = 1
    assert "Done in " in project.fairway("run", "project.py", "--target", "team").stderr
    assert len(json.loads(project.fairway("runs", "--target", "team", "--json").stdout)) == 1


def test_a_run_is_followed_on_over_broken_connections(project: Project, cluster: ApiServer) -> None:
    gate = cluster.kubeconfig.parent / "gate"
    command = project.start("run", "project.py", "--gate", str(gate), "--target", "team")
    assert wait_for(lambda: any("/follow" in asked.path for asked in cluster.plane.asked))
    cluster.cut = 3
    assert wait_for(lambda: cluster.cut == 0)
    gate.touch()
    _, told = command.communicate(timeout=120)
    assert command.returncode == 0, told
    assert "hold             done" in told or "hold" in told


def test_a_loss_of_sight_is_told_with_its_time_and_ends_with_a_line(
    project: Project, cluster: ApiServer
) -> None:
    gate = cluster.kubeconfig.parent / "gate"
    command = project.start("run", "project.py", "--gate", str(gate), "--target", "team")
    assert wait_for(lambda: any("/follow" in asked.path for asked in cluster.plane.asked))
    cluster.cut = 10**6
    lines: list[str] = []
    assert command.stderr is not None
    for line in command.stderr:
        lines.append(line)
        if "not seen since" in line:
            break
    cluster.cut = 0
    gate.touch()
    lines.append(command.stderr.read())
    assert command.wait(120) == 0, lines
    assert re.search(r"not seen since \d\d:\d\d:\d\d", "".join(lines))
    assert "seen again after" in lines[-1]


def test_a_detached_run_says_how_to_follow_and_to_cancel_it(project: Project, cluster: ApiServer) -> None:
    gate = cluster.kubeconfig.parent / "gate"
    done = project.fairway("run", "project.py", "--gate", str(gate), "--target", "team", "--detach")
    name = done.stdout.strip()
    assert (
        f"`fairway follow {name} --target team` shows it, `fairway cancel {name} --target team` stops it"
        in done.stderr
    )
    assert f"run {name} is being cancelled" in project.fairway("cancel", name, "--target", "team").stderr
    assert project.fairway("follow", name, "--target", "team", expect=130).returncode == 130


def test_without_a_terminal_ctrl_c_leaves_the_run_to_itself(project: Project, cluster: ApiServer) -> None:
    gate = cluster.kubeconfig.parent / "gate"
    command = project.start("run", "project.py", "--gate", str(gate), "--target", "team")
    assert wait_for(lambda: any("/follow" in asked.path for asked in cluster.plane.asked))
    command.send_signal(signal.SIGINT)
    _, told = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "goes on by itself on team" in told
    assert "fairway follow " in told
    gate.touch()
    assert project.fairway("follow", "--target", "team").returncode == 0


@pytest.mark.parametrize(
    ("typed", "outcome"),
    [("c\n", "Cancelled after"), ("\n", "goes on by itself"), ("\x03", "goes on by itself")],
)
def test_ctrl_c_asks_what_becomes_of_the_run(
    project: Project, cluster: ApiServer, typed: str, outcome: str
) -> None:
    gate = cluster.kubeconfig.parent / "gate"
    words = ["run", "project.py", "--gate", str(gate), "--target", "team"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.folder)
        os.execve(project.command()[0], project.command(*words), project.environment)
    told = b""

    def until(text: bytes) -> None:
        nonlocal told
        while text not in told:
            told += os.read(terminal, 4096)

    try:
        until(b"on team")
        assert wait_for(lambda: any("/follow" in asked.path for asked in cluster.plane.asked))
        time.sleep(0.2)
        os.write(terminal, b"\x03")
        until(b"type c and Enter")
        os.write(terminal, typed.encode())
        until(outcome.encode())
    finally:
        gate.touch()
        os.close(terminal)
        os.waitpid(pid, 0)


def test_a_failed_run_is_resumed_with_the_code_that_is_here_now(project: Project, cluster: ApiServer) -> None:
    (project.folder / "data.csv").unlink()
    told = project.fairway("run", "project.py", "--target", "team", expect=1).stderr
    assert "FileNotFoundError" in told
    assert "fairway resume" in told
    assert "--target team" in told


def test_a_script_runs_a_pipeline_on_a_target_and_gets_its_values(
    project: Project, cluster: ApiServer
) -> None:
    project.write(
        """
import numpy as np
from rates import RATE

@fw.task
def fill(size: int) -> np.ndarray:
    return np.full(size, RATE)

@fw.pipeline
def main(size: int = 10):
    return {"filled": fill(size)}

if __name__ == "__main__":
    done = fw.run(main, size=5000, target="team")
    print(done.phase, done.result["filled"].sum())
    handle = fw.run(main, target="team", wait=False)
    print(repr(handle))
    print(handle.wait().output("fill").shape)
"""
    )
    command = [project.command()[0], "project.py"]
    done = subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == "Succeeded 10000"
    assert re.fullmatch(r"run \w+: `fairway follow \w+ --target team` shows it", second)
    assert third == "(10,)"
    assert not (project.folder / ".fairway").exists()


def test_a_pipeline_in_no_file_cannot_go_to_a_target(project: Project) -> None:
    text = (
        "import fairway as fw\n@fw.pipeline\ndef main() -> int:\n    return 1\nfw.run(main, target='team')\n"
    )
    command = [project.command()[0], "-c", text]
    done = subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True, timeout=240
    )
    assert "main is in no file, so it cannot be sent to team" in done.stderr


def test_a_step_is_tried_again_on_the_target_with_the_present_code(project: Project) -> None:
    project.write(TEXT.replace("    return value * RATE", "    return RATE / (value - 2)"))
    project.fairway("run", "project.py", "--numbers", "2", "--target", "team", expect=1)
    name = json.loads(project.fairway("runs", "--target", "team", "--json").stdout)[0]["name"]
    assert (
        "ZeroDivisionError" in project.fairway("retry", f"{name}/double", "--target", "team", expect=1).stderr
    )
    project.write(TEXT)
    words = ("--file", "project.py", "--target", "team")
    done = project.fairway("retry", f"{name}/double", *words)
    assert re.search(r"double value=2 +done", done.stderr)
    again = json.loads(project.fairway("show", "--target", "team", "--json").stdout)
    assert [step["spec"]["name"] for step in again["steps"]] == ["double"]


def test_the_repository_of_a_project_that_was_sent_is_on_record(project: Project) -> None:
    own = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for words in (["init", "-q", "-b", "trunk"], ["add", "project.py"], ["commit", "-qm", "first"]):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(command, cwd=project.folder, env=own, check=True, timeout=60)
    project.write(TEXT.replace("value * RATE", "value * RATE + 1"))
    project.fairway("run", "project.py", "--target", "team")
    assert ", with changes" in project.fairway("show", "--target", "team").stdout
    project.fairway("show", "--source", "-o", "then", "--target", "team")
    assert "+    return value * RATE + 1" in (project.folder / "then" / "git.diff").read_text()


def test_a_run_of_the_target_is_reproduced_on_this_machine(project: Project) -> None:
    project.fairway("run", "project.py", "--numbers", "2", "3", "--target", "team")
    name = json.loads(project.fairway("runs", "--target", "team", "--json").stdout)[0]["name"]
    (project.folder / "rates.py").write_text("RATE = 3\n")
    done = project.fairway("reproduce", name, "--target", "team", expect=None)
    assert "double    equal to the bit" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
