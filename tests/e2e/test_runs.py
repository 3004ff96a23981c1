"""Runs by the real command line, in fresh folders: what a person relies on, and what bad luck gets."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from projects import Project, wait_for

PLAIN = """
@fw.task
def add(a: int, b: int = 1) -> int:
    print("adding", a)
    return a + b

@fw.task
def split(a: int) -> tuple[int, int]:
    return a, a + 1

@fw.task
def total(numbers: list[int]) -> int:
    return sum(numbers)

@fw.pipeline
def main(count: int = 3, flag: bool = False) -> int:
    numbers = [add(i) for i in range(count)]
    low, high = split(total(numbers))
    if high > low and flag:
        return total(add.map([low, high], b=10))
    return low
"""


def test_a_pipeline_is_plain_python(project: Project) -> None:
    project.write(PLAIN)
    project.fairway("run", "project.py", "--count", "4", "--flag")
    status = json.loads(project.fairway("show", "--json").stdout)
    assert status["phase"] == "Succeeded"
    assert [step["spec"]["name"] for step in status["steps"]][:4] == ["add", "add-2", "add-3", "add-4"]
    assert len(status["steps"]) == 9
    assert "add | adding 0" in project.fairway("logs").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--count", "many"], "--count takes a value of type int, not 'many'"),
        (["--colour", "red"], "has no flag --colour"),
        (["--count"], "--count needs a value"),
    ],
)
def test_a_wrong_flag_is_refused_before_anything_starts(
    project: Project, words: list[str], said: str
) -> None:
    project.write(PLAIN)
    assert said in project.fairway("run", "project.py", *words, expect=2).stderr
    assert "no runs yet" in project.fairway("runs").stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def broken(:\n    pass\n", "SyntaxError"),
        ("import not_installed_anywhere\n", "not_installed_anywhere, which is not installed"),
        ("1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_file_that_cannot_be_imported_shows_its_line(project: Project, text: str, said: str) -> None:
    project.write(text)
    stderr = project.fairway("run", "project.py", expect=None).stderr
    assert said in stderr
    assert "line 3" in stderr
    assert "fairway/runner" not in stderr


FAILING = """
@fw.task
def bad() -> int:
    raise ValueError("no luck")

@fw.task
def after(x: int) -> int:
    return x

@fw.task
def apart() -> int:
    time.sleep(0.2)
    return 7

@fw.pipeline
def caught() -> str:
    try:
        fw.value(bad())
    except fw.StepFailed as error:
        return str(error)
    return "not raised"

@fw.pipeline
def uncaught() -> int:
    first, second = after(bad()), apart()
    return first + second
"""


def test_a_failed_step_can_be_caught(project: Project) -> None:
    project.write(FAILING)
    project.fairway("run", "project.py:caught")
    assert "which" not in project.fairway("run", "project.py", expect=2).stderr


def test_what_does_not_depend_on_a_failure_finishes(project: Project) -> None:
    project.write(FAILING)
    stderr = project.fairway("run", "project.py:uncaught", expect=1).stderr
    assert 'raise ValueError("no luck")' in stderr
    assert "fairway/runner" not in stderr
    steps = {
        step["spec"]["name"]: step for step in json.loads(project.fairway("show", "--json").stdout)["steps"]
    }
    assert steps["apart"]["phase"] == "Succeeded"
    assert steps["after"]["phase"] == "Cancelled"
    assert steps["after"]["failure"]["cause"] == "bad"


CRASHING = """
import ctypes

@fw.task
def segfault() -> int:
    print("last words", flush=True)
    ctypes.string_at(0)

@fw.task
def leave() -> int:
    os._exit(3)

@fw.task(timeout="1s")
def slow() -> int:
    os.system("sleep 300")

@fw.task(memory="150Mi")
def big() -> int:
    data = bytearray(10**9)
    time.sleep(2)
    return len(data)

@fw.task(retries=2)
def flaky() -> int:
    with open("tries", "a") as file:
        file.write("x")
    if os.path.getsize("tries") < 2:
        raise RuntimeError("not yet")
    return 1

@fw.pipeline
def main() -> int:
    for task in (segfault, leave, slow, big):
        try:
            fw.value(task())
        except fw.StepFailed as error:
            print("caught", error)
    return flaky()
"""


def test_whatever_ends_a_step_ends_only_that_attempt(project: Project) -> None:
    project.write(CRASHING)
    project.fairway("run", "project.py")
    status = json.loads(project.fairway("show", "--json").stdout)
    reasons = {step["spec"]["name"]: (step.get("failure") or {}).get("reason") for step in status["steps"]}
    assert reasons["segfault"] == "crash"
    assert reasons["leave"] == "crash"
    assert reasons["slow"] == "timeout"
    assert reasons["big"] == "oom"
    assert reasons["flaky"] is None
    assert "last words" in project.fairway("logs", f"{status['spec']['name']}/segfault").stdout


CACHED = """
RATE = 2

def helper(x: int) -> int:
    return x * RATE

@fw.task(cache=True)
def work(x: int) -> int:
    return helper(x)

@fw.pipeline
def main(x: int = 1) -> int:
    return work(x)
"""


def test_the_cache_follows_the_code_and_not_its_layout(project: Project) -> None:
    def run(text: str, *words: str) -> str:
        project.write(text)
        return project.fairway("run", "project.py", "--explain", *words).stderr

    assert "no earlier result" in run(CACHED)
    assert "cached" in run(CACHED)
    assert "cached" in run(CACHED.replace("    return helper(x)", "    # a remark\n\n    return helper(x)"))
    assert "RATE changed" in run(CACHED.replace("RATE = 2", "RATE = 3"))
    assert "helper" in run(CACHED.replace("return x * RATE", "return RATE * x + 0"))
    assert "cached" not in run(CACHED, "--x", "5")


LONG = """
@fw.task
def tick(i: int) -> int:
    with open("ticks", "a") as file:
        file.write(f"{i}\\n")
    time.sleep(0.15)
    while i >= 8 and not os.path.exists("go"):
        time.sleep(0.02)
    return i

@fw.pipeline
def main(count: int = 16) -> int:
    return sum(tick.map(range(count)))
"""


def test_a_killed_run_goes_on_where_it_stopped(project: Project) -> None:
    project.write(LONG)
    running = project.start("run", "project.py")
    ticks = project.folder / "ticks"
    assert wait_for(lambda: ticks.exists() and len(ticks.read_text().split()) >= 4)
    running.kill()
    running.wait()
    name = project.newest()
    assert "interrupted" in project.fairway("runs").stdout
    done = len(ticks.read_text().split())
    (project.folder / "go").touch()
    project.fairway("resume", name)
    status = json.loads(project.fairway("show", name, "--json").stdout)
    assert status["phase"] == "Succeeded"
    assert sorted({int(tick) for tick in ticks.read_text().split()}) == list(range(16))
    assert len(ticks.read_text().split()) <= 16 + min(done, 4)


def test_ctrl_c_cancels_and_cancel_does_too(project: Project) -> None:
    project.write(LONG)
    for stop in ("signal", "command"):
        running = project.start("run", "project.py", "--count", "200")
        assert wait_for(lambda: "running" in project.fairway("runs", "--limit", "1").stdout)
        if stop == "signal":
            os.kill(running.pid, signal.SIGINT)
        else:
            project.fairway("cancel", project.newest())
        assert running.wait(timeout=240) == 130
        assert json.loads(project.fairway("runs", "--json").stdout)[0]["phase"] == "Cancelled"


GATED = """
class Toy:
    def predict(self, rows: list[float]) -> list[float]:
        return [2 * row for row in rows]

@fw.task
def train() -> Toy:
    return Toy()

@fw.pipeline
def main(bound: float = 0.9) -> fw.ModelVersion:
    report = fw.evaluate(["a", "b", "a", "b"], ["a", "b", "a", "a"])
    return fw.register("toy", train(), evaluation=report, at_least={"accuracy": bound})
"""


def test_a_refused_gate_registers_nothing(project: Project) -> None:
    project.write(GATED)
    assert "accuracy 0.75 (at least 0.9)" in project.fairway("run", "project.py", expect=3).stderr
    assert "no models yet" in project.fairway("models").stderr
    project.fairway("run", "project.py", "--bound", "0.7")
    project.fairway("run", "project.py", "--bound", "0.6")
    versions = json.loads(project.fairway("models", "show", "toy", "--json").stdout)
    assert [version["version"] for version in versions] == [1, 2]
    project.fairway("models", "alias", "toy", "champion", "1")
    assert "toy version 1" in project.fairway("models", "show", "toy@champion").stdout
    project.fairway("models", "show", "toy:9", expect=4)
    project.fairway("show", "zzzz", expect=4)


PIPELINE_SAYS = """
@fw.task
def one() -> float:
    if not os.path.exists("mended"):
        raise ValueError("not yet")
    return 1.5

@fw.pipeline
def main(rate: float = 1.0) -> float:
    fw.log(rate=rate)
    fw.log(rate=rate / 2)
    fw.show("<svg xmlns='http://www.w3.org/2000/svg'/>", title="before")
    result = one()
    fw.log(final=float(result))
    fw.show("<svg xmlns='http://www.w3.org/2000/svg'/>", title="after")
    return float(result)
"""


def test_what_the_pipeline_itself_logs_and_shows_is_the_runs_also_after_a_resume(project: Project) -> None:
    project.write(PIPELINE_SAYS)
    project.fairway("run", "project.py", expect=1)
    failed = json.loads(project.fairway("show", "--json").stdout)
    assert [(one["name"], one["value"]) for one in failed["metrics"]] == [("rate", 1.0), ("rate", 0.5)]
    assert list(failed["shown"]) == ["before"]

    (project.folder / "mended").touch()
    project.fairway("resume")
    found = json.loads(project.fairway("show", "--json").stdout)
    assert [(one["name"], one["value"]) for one in found["metrics"]] == [
        ("rate", 1.0), ("rate", 0.5), ("final", 1.5),
    ]  # fmt: skip
    shown = project.fairway("show", "--save", "out").stdout
    assert "metric    rate 0.5  (last of 2)" in shown
    assert "metric    final 1.5" in shown
    assert sorted(path.name for path in (project.folder / "out").iterdir()) == [
        "pipeline-after.svg", "pipeline-before.svg",
    ]  # fmt: skip
    first = project.newest()
    project.fairway("run", "project.py", "--rate", "4")
    assert "metric rate" in project.fairway("compare", project.newest(), first).stdout
    script = "import fairway as fw, project; run = fw.run(project.main); print(run.metrics, list(run.shown))"
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert said.stdout.splitlines()[-1] == (
        "{'rate': [(0.0, 1.0), (1.0, 0.5)], 'final': [(0.0, 1.5)]} ['before', 'after']"
    ), said.stderr


def test_more_than_the_machine_has_is_said(project: Project) -> None:
    project.write(
        "@fw.task(cpu=4096, gpu=64)\ndef huge() -> int:\n    return 1\n\n"
        "@fw.pipeline\ndef main() -> int:\n    return huge()\n"
    )
    assert "asks for more than there is: 4096 CPUs" in project.fairway("run", "project.py", expect=1).stderr


def test_a_flipped_bit_is_found(project: Project) -> None:
    text = '@fw.task(cache=True)\ndef make() -> str:\n    return "x" * 50_000\n\n'
    text += "@fw.task\ndef use(a: str) -> int:\n    return len(a)\n"
    project.write(text + "\n@fw.pipeline\ndef main() -> int:\n    return use(make())\n")
    project.fairway("run", "project.py")
    blobs = [
        path
        for path in (project.folder / ".fairway/blobs").rglob("*")
        if path.is_file() and path.stat().st_size > 50_000
    ]
    assert len(blobs) == 1
    blobs[0].chmod(0o600)
    content = bytearray(blobs[0].read_bytes())
    content[100] ^= 1
    blobs[0].write_bytes(content)
    assert re.search(r"does not match|damaged|corrupt", project.fairway("run", "project.py", expect=1).stderr)
    assert re.search(
        r"make +run +what it left in run \w+ is damaged", project.fairway("plan", "project.py").stdout
    )
    again = project.fairway("run", "project.py", "--explain")
    assert "what it left in run" in again.stderr, "the step runs again, and makes anew what was damaged"
    assert "cached" in project.fairway("run", "project.py").stderr


@pytest.mark.parametrize(
    ("template", "file", "model"),
    [
        ("supervised", "cancer.py", "cancer"),
        ("unsupervised", "wines.py", "wines"),
        ("reinforcement", "cartpole.py", "cartpole"),
    ],
)
def test_a_template_registers_a_gated_model(project: Project, template: str, file: str, model: str) -> None:
    project.fairway("init", "--template", template)
    project.fairway("run", file, "--quiet")
    versions = json.loads(project.fairway("models", "show", model, "--json").stdout)
    assert versions[0]["candidate"]["gates"]["at_least"]
    assert versions[0]["candidate"]["sample_rows"] > 0


def test_a_script_gets_a_run_back(project: Project) -> None:
    project.write(
        PLAIN
        + '\nif __name__ == "__main__":\n    run = fw.run(main, count=2)\n'
        + "    print(run.ok, run.result)\n    print(len(run._repr_html_()) > 50)\n"
    )
    done = subprocess.run(
        [sys.executable, "project.py"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout.splitlines()[:2] == ["True 3", "True"], done.stderr


def test_an_environment_of_its_own_that_cannot_be_built_is_said(project: Project) -> None:
    text = '@fw.task(environment=fw.Environment(requirements=["no-such-package-of-ours==9.9"]))\n'
    text += "def inside() -> int:\n    return 1\n"
    project.write(text + "\n@fw.pipeline\ndef main() -> int:\n    return inside()\n")
    said = project.fairway("run", "project.py", expect=1).stderr
    assert "error: inside: the environment with no-such-package-of-ours==9.9 could not be built\n" in said
    assert said.count("hint: check the names and versions") == 1
    step = next(line for line in said.splitlines() if line.startswith("  inside"))
    assert step.endswith("could not be built")
    shown, _, error = said.rpartition("error: ")
    assert "no-such-package-of-ours" in shown.partition(step)[2], (
        "what the installer said comes before the error"
    )
    assert len(error.splitlines()) == 3


def test_a_change_counts_within_the_same_second_and_of_the_same_length(project: Project) -> None:
    """Compiled files are told apart from their source by whole seconds and size."""
    (project.folder / "package").mkdir()
    (project.folder / "package" / "rates.py").write_text("RATE = 3\n")
    project.write(
        "from package import rates\nOWN = 1\n\n@fw.task\ndef one() -> str:\n    return f'{OWN} {rates.RATE}'\n\n"
        "@fw.pipeline\ndef main():\n    print('saw', one())\n"
    )
    project.environment["PYTHONDONTWRITEBYTECODE"] = ""
    files = [project.folder / "project.py", project.folder / "package" / "rates.py"]
    for own, rate in ((1, 3), (2, 4)):
        files[0].write_text(files[0].read_text().replace("OWN = 1", f"OWN = {own}"))
        files[1].write_text(f"RATE = {rate}\n")
        for file in files:
            os.utime(file, (1_700_000_000, 1_700_000_000))
        assert f"saw {own} {rate}" in project.fairway("run", "project.py").stderr
