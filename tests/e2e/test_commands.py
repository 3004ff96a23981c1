"""The command line as a whole: JSON from every verb, an example in every help, exit codes, completion, live logs."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from projects import Project, wait_for
from receiver import Receiver

from fairway.cli.main import COMMANDS, cli

TEXT = """
class Constant:
    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, rows):
        return [self.value for _ in rows]

@fw.task
def train(rate: float) -> object:
    print("training with", rate)
    fw.log(loss=rate)
    return Constant(rate)

@fw.pipeline
def main(rate: float = 0.5):
    report = fw.evaluate([0, 1, 1, 0], [0, 1, 0, 0])
    fw.register("toy", train(rate), evaluation=report, sample=[[0.0], [1.0]])

@fw.pipeline
def gated(rate: float = 0.5):
    report = fw.evaluate([0, 1, 1, 0], [0, 1, 0, 0])
    fw.register("toy", train(rate), evaluation=report, at_least={"accuracy": 0.99})
"""

LEARNED = """from sklearn.dummy import DummyRegressor
    return DummyRegressor(strategy="constant", constant=rate).fit([[0.0], [1.0]], [0.0, 1.0])
"""
"""The end of `train` with a model that has an ONNX form, which takes many times as long to register."""


def every_command() -> list[tuple[list[str], click.Command]]:
    """All verbs with their words, subcommands included."""
    context = click.Context(cli)
    found: list[tuple[list[str], click.Command]] = []
    waiting: list[tuple[list[str], click.Command | None]] = [
        ([name], cli.get_command(context, name)) for name in COMMANDS
    ]
    for words, command in waiting:
        assert command is not None, words
        found.append((words, command))
        if isinstance(command, click.Group):
            waiting += [([*words, name], inner) for name, inner in command.commands.items()]
    return found


@pytest.mark.parametrize(("words", "command"), every_command(), ids=lambda value: str(value))
def test_every_help_has_an_example_that_is_a_command(words: list[str], command: click.Command) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fairway", *words, "--help"], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "Example:" in done.stdout
    example = done.stdout.split("Example:")[1].strip().splitlines()[0]
    assert f"fairway {' '.join(words)}" in example
    context = click.Context(command)
    for option in command.get_params(context):
        assert not isinstance(option, click.Option) or option.help, option.name
    takes_json = any("--json" in option.opts for option in command.params)
    # A group only holds commands, the objects that `render` prints are for kubectl, and in a debugger a person types.
    assert takes_json or words in (["completion"], ["target"], ["image"], ["render"], ["debug"]), "no --json"


ON_A_CLUSTER = {
    "install", "upgrade", "uninstall", "render", "image push", "target add", "target remove", "targets", "why",
}  # fmt: skip
"""Commands whose JSON is read by the tests of clusters, targets and reasons."""


def test_json_of_every_verb_parses(project: Project) -> None:
    project.write(TEXT.replace("return Constant(rate)", LEARNED))
    tried: set[str] = set()

    def parsed(*words: str) -> object:
        done = project.fairway(*words, "--json")
        of_group = words[0] in ("models", "tokens", "webhooks") and len(words) > 1
        verb = " ".join(words[:2]) if of_group else words[0]
        tried.add(verb)
        if verb == "logs":
            return [json.loads(line) for line in done.stdout.splitlines()]
        return json.loads(done.stdout)

    assert parsed("runs") == []
    assert parsed("models") == []
    assert parsed("init") == {"template": "supervised", "file": "cancer.py"}
    planned = parsed("plan", "project.py:main")
    assert isinstance(planned, list)
    assert (planned[0]["step"], planned[0]["will"]) == ("train rate=0.5", "run")
    first = parsed("run", "project.py:main")
    assert isinstance(first, dict)
    assert first["phase"] == "Succeeded"
    second = parsed("run", "project.py:main", "--rate", "0.25")
    assert isinstance(second, dict)
    names = [first["spec"]["name"], second["spec"]["name"]]
    assert isinstance(parsed("show", f"{names[0]}/train"), dict)
    got = parsed("get", f"{names[0]}/train/rate")
    assert got == 0.5
    assert parsed("tag", names[0], "kept") == {"run": names[0], "tags": ["kept"]}
    assert parsed("note", names[0], "why") == {"run": names[0], "note": "why"}
    would = parsed("rm", names[0], "toy:1")
    assert isinstance(would, dict)
    assert [item["name"] for item in would["items"]] == [names[0], "toy:1"]
    assert isinstance(parsed("models", "download", "toy", "--native"), dict)
    lines = parsed("logs", names[0])
    assert isinstance(lines, list)
    assert [line["text"] for line in lines if line["step"] == "train"] == ["training with 0.5"]
    compared = parsed("compare", *names)
    assert isinstance(compared, dict)
    assert compared["differences"]["parameter rate"] == ["0.5", "0.25"]
    assert compared["differences"]["metric train/loss"] == ["0.5", "0.25"]
    parsed("models", "alias", "toy", "champion", "1")
    shown = parsed("models", "show", "toy@champion")
    assert isinstance(shown, dict)
    assert shown["version"] == 1
    assert isinstance(parsed("models", "compare", "toy:1", "toy:2"), dict)
    assert parsed("resume", names[0])
    assert parsed("follow", names[0])
    assert isinstance(parsed("retry", f"{names[0]}/train"), dict)
    assert isinstance(parsed("profile", f"{names[0]}/train", "-o", "calls.svg"), dict)
    assert isinstance(parsed("reproduce", names[0], "--as-is"), dict)
    exported = parsed("models", "export", "toy:1", "package")
    assert isinstance(exported, dict)
    assert isinstance(parsed("models", "import", "package"), dict)
    parsed("gc")
    parsed("du")
    parsed("doctor")
    assert isinstance(parsed("audit"), list)
    assert parsed("trust", "--show")
    parsed("backup", "copy")
    project.environment["FAIRWAY_HOME"] = str(project.folder / "again")
    parsed("restore", "copy")
    listed = parsed("models")
    assert isinstance(listed, list)
    assert listed[0]["newest"]["version"] == 3
    del project.environment["FAIRWAY_HOME"]
    parsed("up")
    try:
        deployed = parsed("deploy", "toy")
        assert isinstance(deployed, dict)
        parsed("endpoints")
        parsed("deploy", "toy:1")
        parsed("rollback", "toy")
        parsed("undeploy", "toy")
        assert isinstance(parsed("ui"), dict)
        assert isinstance(parsed("tokens", "add", "ana"), dict)
        assert isinstance(parsed("tokens"), list)
        parsed("tokens", "rm", "ana")
        assert isinstance(parsed("schedule", "project.py:main", "--cron", "0 6 * * *"), dict)
        assert isinstance(parsed("schedules"), list)
        parsed("unschedule", "main")
        with Receiver() as receiver:
            assert isinstance(parsed("webhooks", "add", "team", receiver.url), dict)
            assert isinstance(parsed("webhooks", "test", "team"), dict)
        assert isinstance(parsed("webhooks"), list)
        assert parsed("webhooks", "send") == {"posted": 0}
        assert parsed("webhooks", "rm", "team") == {"removed": "team"}
    finally:
        parsed("down")
    verbs = {" ".join(words) for words, command in every_command() if not isinstance(command, click.Group)}
    assert (
        verbs | {"models", "tokens", "webhooks"} == tried | {"completion", "cancel", "debug"} | ON_A_CLUSTER
    )


def test_exit_codes_tell_what_happened(project: Project) -> None:
    project.write(TEXT)
    project.write("@fw.pipeline\ndef main():\n    raise ValueError('no')\n", "failing.py")
    project.fairway("run", "project.py:main")
    project.fairway("run", "failing.py", expect=1)
    for words in (
        ["runn"],
        ["run"],
        ["runs", "--limit", "x"],
        ["init", "--template", "x"],
    ):
        stderr = project.fairway(*words, expect=2).stderr
        assert stderr.startswith("error: ")
        assert "hint: " in stderr
        assert "Traceback" not in stderr
    project.fairway("run", "project.py:gated", expect=3)
    assert "there is no file" in project.fairway("run", "nowhere.py", expect=4).stderr
    missing = project.fairway("deploy", "nowhere.py", expect=4).stderr
    assert "there is no file nowhere.py" in missing
    assert "hint: " in missing


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "zzzz"], "there is no run 'zzzz'"),
        (["logs", "zzzz"], "there is no run 'zzzz'"),
        (["resume", "zzzz"], "there is no run 'zzzz'"),
        (["cancel", "zzzz"], "there is no run 'zzzz'"),
        (["compare", "zzzz", "yyyy"], "there is no run 'zzzz'"),
        (["models", "show", "ghost"], "ghost"),
        (["models", "show", "toy:9"], "toy has no version 9"),
        (["models", "show", "toy@ghost"], "ghost"),
        (["models", "alias", "toy", "champion", "9"], "toy has no version 9"),
        (["models", "compare", "toy:1", "toy:9"], "toy has no version 9"),
        (["deploy", "ghost"], "ghost"),
        (["rollback", "ghost"], "no endpoint 'ghost'"),
        (["undeploy", "ghost"], "no endpoint 'ghost'"),
        (["deploy", "toy@ghost"], "ghost"),
    ],
)
def test_what_is_not_there_is_said_with_exit_code_4(models: Project, words: list[str], said: str) -> None:
    stderr = models.fairway(*words, expect=4).stderr
    assert said in stderr
    assert "hint: " in stderr
    assert "platform started" not in stderr


@pytest.mark.parametrize("alias", ["two words", "", "a@b", "-x"])
def test_an_alias_that_could_not_be_written_again_is_refused(models: Project, alias: str) -> None:
    assert (
        "is not a usable name" in models.fairway("models", "alias", "toy", "--", alias, "1", expect=2).stderr
    )


def test_the_hint_for_a_missing_alias_sets_it(models: Project) -> None:
    stderr = models.fairway("models", "show", "toy@fresh", expect=4).stderr
    assert "`fairway models alias toy fresh VERSION`" in stderr


def test_a_step_that_is_not_there_is_said_too(models: Project) -> None:
    for command in ("show", "logs"):
        stderr = models.fairway(command, f"{models.newest()}/ghost", expect=4).stderr
        assert "has no step 'ghost'" in stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a registered model."""
    project = Project(tmp_path_factory.mktemp("models"))
    project.write(TEXT)
    project.fairway("run", "project.py:main")
    return project


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("cpu=4096", "4096 CPUs"),
        ("memory='900Ti'", "900.0 TiB of memory"),
        ("gpu=64", "64 GPUs"),
    ],
)
def test_more_than_the_machine_has_is_refused_by_name(project: Project, asked: str, said: str) -> None:
    project.write(f"@fw.task({asked})\ndef huge():\n    pass\n\n@fw.pipeline\ndef main():\n    huge()\n")
    stderr = project.fairway("run", "project.py", expect=1).stderr
    assert "asks for more than there is" in stderr
    assert said.split()[0].split(".")[0] in stderr


def test_logs_follow_a_step_until_the_run_is_over(project: Project) -> None:
    project.write(
        "@fw.task\ndef tick():\n    open('begun', 'w').close()\n    for i in range(6):\n        print('tick', i, flush=True)\n"
        "        while i == 2 and not os.path.exists('heard'):\n            time.sleep(0.02)\n\n"
        "@fw.task\ndef other():\n    print('apart')\n\n@fw.pipeline\ndef main():\n    tick()\n    other()\n"
    )
    running = project.start("run", "project.py", "--quiet")
    assert wait_for((project.folder / "begun").exists)
    assert "running" in project.fairway("runs").stdout
    words = project.command("logs", f"{project.newest()}/tick", "--follow", "--times")
    with subprocess.Popen(
        words, cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        first = following.stdout.readline()
        (project.folder / "heard").touch()
        # The pipe has lines already that were read with the first one, and `communicate` would not know of them.
        lines = [first, *following.stdout.readlines()]
    assert running.wait(timeout=240) == 0
    assert [line.split(" ", 1)[1].strip() for line in lines] == [f"tick {i}" for i in range(6)]
    assert lines[0][2] == lines[0][5] == ":"


def test_the_flags_of_a_pipeline_are_in_its_help(project: Project) -> None:
    project.write(
        "@fw.pipeline\ndef main(depths: list[int] = [2, 3], fast: bool = False, name: str | None = None):\n"
        '    """Predict who leaves.\n\n    Args:\n        depths: of the trees.\n    """\n'
    )
    said = project.fairway("run", "project.py", "--help").stdout
    assert "Predict who leaves." in said
    assert "of the trees. [default: 2 3]" in said
    assert "--fast / --no-fast" in said
    assert json.loads(project.fairway("runs", "--json").stdout) == []


def test_ctrl_c_twice_ends_at_once(project: Project) -> None:
    project.write(
        "import signal\n@fw.task\ndef stubborn():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    open('begun', 'w').close()\n    time.sleep(120)\n\n@fw.pipeline\ndef main():\n    stubborn()\n"
    )
    running = project.start("run", "project.py:main")
    assert wait_for((project.folder / "begun").exists)
    os.kill(running.pid, signal.SIGINT)
    assert wait_for(lambda: running.poll() is not None, 1.0) is False
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(timeout=8) == 130


def test_a_terminal_sees_live_progress_and_a_pipe_plain_lines(project: Project) -> None:
    project.write(TEXT)
    plain = project.fairway("run", "project.py:main").stderr
    assert "\x1b" not in plain
    assert "\r" not in plain
    environment = {name: text for name, text in project.environment.items() if name != "CI"}
    environment |= {"TERM": "xterm", "COLUMNS": "80"}
    shown, terminal = pty.openpty()
    running = subprocess.Popen(
        project.command("run", "project.py:main"), cwd=project.folder, env=environment,
        stderr=terminal, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    while True:
        try:
            data = os.read(shown, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(shown)
    assert running.wait(timeout=240) == 0
    assert b"steps" in seen
    assert b"\x1b[K" in seen
    assert seen.replace(b"\r\n", b"\n").splitlines()[-1].startswith(b"\x1b[KDone in")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@fw.task(cpu='many')\ndef a(): pass\n", "task a: cpu='many' is not a number of CPUs"),
        ("@fw.task(memory='2 apples')\ndef a(): pass\n", "is not an amount of memory"),
        ("@fw.task(timeout='soon')\ndef a(): pass\n", "is not a duration"),
        ("@fw.task(retries=-1)\ndef a(): pass\n", "retries=-1 is not a whole number"),
        ("@fw.task\nasync def a(): pass\n", "is an async function"),
        ("@fw.task\ndef a(): pass\n\n@fw.task\ndef a(): pass\n", "declares two tasks 'a', in lines 3 and 6"),
        ("fw.Environment(requirements=['xgboost'])\n", "requirement 'xgboost' is not pinned"),
        ("fw.Environment(requirements='nowhere.txt')\n", "cannot read the requirements file nowhere.txt"),
        ("x = 1\n", "project.py declares no pipeline"),
        ("@fw.pipeline\ndef main(*rest): pass\n", "the parameter *rest of main can have no flag"),
        ("@fw.pipeline\ndef main(config: list[str]): pass\n", "which `fairway run` has itself"),
        ("@fw.pipeline\ndef main(explain: str): pass\n", "which `fairway run` has itself"),
        ("from fairway import nothing\n", "nothing"),
        ("import helpers_of_ours.deep\n", "helpers_of_ours"),
        ("def broken():\n\treturn 1\n        return 2\n", "line 5"),
    ],
)
def test_a_wrong_declaration_is_said_before_anything_runs(project: Project, text: str, said: str) -> None:
    project.write(text)
    done = project.fairway("run", "project.py", expect=None)
    assert done.returncode == (1 if 'File "' in done.stderr else 2)
    assert said in done.stderr
    assert "hint: " in done.stderr
    assert "fairway/runner" not in done.stderr
    assert str(Path("fairway", "author")) not in done.stderr
    assert json.loads(project.fairway("runs", "--json").stdout) == []


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "2>&1 | true"])
def test_a_run_needs_nobody_who_listens(project: Project, streams: str) -> None:
    project.write(
        "@fw.task\ndef one() -> int:\n    print('one', file=sys.stderr)\n    return 1\n\n\n"
        "@fw.pipeline\ndef main() -> int:\n    return one()\n"
    )
    command = f"{shlex.join(project.command('run', 'project.py'))} {streams}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=project.folder, env=project.environment, timeout=240, check=False
    )
    assert done.returncode == 0
    (run,) = json.loads(project.fairway("runs", "--json").stdout)
    assert run["phase"] == "Succeeded"
    assert "one" in project.fairway("logs").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rnu", "project.py"), "there is no command 'rnu'; did you mean `fairway run`?"),
        (("endpoint",), "did you mean `fairway endpoints`?"),
        (("xyzzy",), "there is no command 'xyzzy'\n"),
        (("run",), "which file?"),
        (("run", "--n", "3"), "flags come behind it: `fairway run FILE --n 3`"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(project: Project, words: tuple[str, ...], said: str) -> None:
    assert said in project.fairway(*words, expect=2).stderr


def test_fairway_alone_says_what_is_here_and_what_comes_next(project: Project) -> None:
    assert "Usage: fairway" in project.fairway().stdout
    project.write("open('imported', 'w').close()\n\n@fw.pipeline\ndef main(): pass\n")
    said = project.fairway()
    assert said.stdout == "project.py: pipeline main\n"
    assert "fairway run project.py" in said.stderr
    assert not (project.folder / "imported").exists()
    project.fairway("run", "project.py")
    run = project.newest()
    assert f"newest run: {run}, main, done" in project.fairway().stdout
    assert f"fairway show {run}" in project.fairway().stderr
