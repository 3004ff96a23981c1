"""What a project file can say, by the real command line: control flow, calls, values, words inside steps."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import HEAD, Project, steps, told, told_of

TASKS = """
@fw.task
def add(a: int, b: int = 1) -> int:
    return a + b

@fw.task
def bad(text: str) -> int:
    raise ValueError(text)

@fw.task
def where() -> int:
    return os.getpid()

@fw.task
def after(x: int) -> int:
    return x
"""


@pytest.mark.parametrize(
    "body",
    ["import json\n    x = add(1)\n    return json.dumps({'x': x})", "x = add(1)\n    return ','.join([x])"],
)
def test_where_a_ref_cannot_stand_in_the_error_says_to_ask_for_the_value(project: Project, body: str) -> None:
    project.write(
        TASKS
        + f"""
@fw.pipeline
def main() -> str:
    {body}
"""
    )
    assert "fw.value" in project.fairway("run", "project.py", expect=1).stderr.partition("hint: ")[2]


@pytest.mark.parametrize(
    ("text", "headline"),
    [
        ("the reason\\nand a footnote", "ValueError: the reason"),
        ("\\nthe reason\\nand a footnote", "ValueError: the reason"),
    ],
)
def test_an_error_of_many_lines_is_named_by_its_first(project: Project, text: str, headline: str) -> None:
    project.write(
        TASKS
        + f"""
@fw.pipeline
def main() -> int:
    return bad("{text}") + 1
"""
    )
    said = project.fairway("run", "project.py", expect=1).stderr
    assert f"error: bad: {headline}\n" in said
    assert "and a footnote" in said


@pytest.mark.parametrize(
    ("body", "printed", "count"),
    [
        ("print(sum([add(i) for i in range(300)]))", "45150", 300),
        (
            "if add(1) == 2:\n        print('early')\n        return\n    add(5)\n    print('late')",
            "early",
            1,
        ),
        ("print(twice(add(1)) + 0)", "4", 3),
        ("print(inner(3) + add(inner(5)))", "11", 3),
        ("print([int(x) for x in add.map([1, 2, 3], b=10)])", "[11, 12, 13]", 3),
        ("print([int(x) for x in add.map([1, 2], a=10)])", "[11, 12]", 2),
        ("other = add.options(name='plus', retries=1)\n    print(int(other(1)), int(add(1)))", "2 2", 2),
        ("x = add(1)\n    while x < 5:\n        x = add(x)\n    print(fw.value(x))", "5", 4),
        ("print(len({where(), where(), os.getpid()} | set()))", "3", 2),
        ("print({'a': add(1), 'b': [add(2)]}['b'][0] * 2)", "6", 2),
        ("import functools\n    print(functools.reduce(add, [add(0), 2, 3], 0) + 0)", "6", 4),
        ("print(type(fw.value(add(1))).__name__, type(fw.value({'x': [add(1)]})).__name__)", "int dict", 2),
    ],
)
def test_control_flow_is_that_of_python(project: Project, body: str, printed: str, count: int) -> None:
    text = TASKS + "\ndef twice(x):\n    return add(add(x, 0), x) if x else 0\n"
    text += "\n@fw.pipeline\ndef inner(n: int = 1) -> int:\n    return add(n)\n"
    project.write(text + f"\n@fw.pipeline\ndef main():\n    {body}\n")
    assert told_of(project, "main") == [printed]
    assert len(steps(project)) == count


def test_a_failed_step_is_caught_where_its_value_is_used(project: Project) -> None:
    project.write(
        TASKS
        + """
@fw.pipeline
def main():
    first = bad("no luck")
    second = after(first)
    for ref in (first, second):
        try:
            ref + 1
        except fw.StepFailed as error:
            print(error.step, "|", error.message, "|", error.details.splitlines()[-1:])
    print(add(1) + 0)
"""
    )
    said = told(project)
    assert said[0] == "bad | bad: ValueError: no luck | ['ValueError: no luck']"
    assert said[1] == "bad | after: not run, because bad did not succeed | []"
    assert said[2] == "2"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("add()", "add: missing a required argument: 'a'"),
        ("add(1, c=2)", "add: got an unexpected keyword argument 'c'"),
        ("add(1, 2, 3)", "add: too many positional arguments"),
        ("add.map(7)", "add.map goes through its items, and 7 has none"),
        ("add.map([1], a=1, b=2)", "every parameter is given, none is left for the items"),
    ],
)
def test_a_task_called_with_wrong_arguments_says_which_and_where(
    project: Project, call: str, said: str
) -> None:
    project.write(TASKS + f"\n@fw.pipeline\ndef main():\n    {call}\n")
    stderr = project.fairway("run", "project.py", expect=1).stderr
    assert said in stderr
    assert f"    {call}" in stderr
    assert "fairway/author" not in stderr


@pytest.mark.parametrize("result", ["threading.Lock()", "(i for i in range(3))", "[open('out', 'w')]"])
def test_a_result_that_cannot_be_stored_is_named_with_its_type(project: Project, result: str) -> None:
    project.write(
        f"import threading\n\n@fw.task\ndef make():\n    return {result}\n"
        "\n@fw.pipeline\ndef main():\n    make()\n"
    )
    stderr = project.fairway("run", "project.py", expect=1).stderr
    assert "make" in stderr
    assert "cannot be stored" in stderr
    assert "hint:" in stderr
    assert steps(project)["make"]["phase"] == "Failed"


SHOWN = """
import pandas as pd

@fw.task
def draw() -> int:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots()
    axes.plot([1, 2, 3])
    fw.show(figure, title="a line")
    fw.show(pd.DataFrame({"a": [1, 2], "b": ["<x>", "y"]}), title="a table")
    fw.show("<svg xmlns='http://www.w3.org/2000/svg'><circle r='3'/></svg>", title="a circle")
    for epoch in range(3):
        fw.log(step=epoch, loss=1 / (epoch + 1))
    fw.log(final=7)
    fw.show(fw.evaluate([0, 1, 1, 0], [0, 1, 0, 0]), title="judged")
    return 1

@fw.task
def report() -> fw.Evaluation:
    return fw.evaluate([0, 1, 1, 0], [0, 1, 0, 0])

@fw.pipeline
def main():
    fw.log(outside=2.5)
    print(draw() + 0, f"{report().accuracy:.2f}")
"""


def test_logged_metrics_and_shown_pictures_are_kept_and_saved(project: Project) -> None:
    project.write(SHOWN)
    assert told(project) == ["1 0.75"]
    step = project.fairway("show", f"{project.newest()}/draw").stdout
    assert "metric    loss 0.333333  (last of 3)" in step
    assert "metric    final 7" in step
    for title in ("a line", "a table", "a circle"):
        assert f"shown     {title}" in step
    project.fairway("show", "--save", "out")
    found = {path.name: path.read_text() for path in (project.folder / "out").iterdir()}
    assert set(found) >= {"draw-a-line.svg", "draw-a-circle.svg", "draw-a-table.html", "draw-judged.html"}
    assert "<svg" in found["draw-judged.html"]
    assert "<svg" in found["draw-a-line.svg"]
    assert "circle" in found["draw-a-circle.svg"]
    assert "&lt;x&gt;" in found["draw-a-table.html"]


MODELS = """
class Toy:
    def __init__(self, factor: float) -> None:
        self.factor = factor
    def predict(self, rows: list[float]) -> list[float]:
        return [row * self.factor for row in rows]

@fw.task
def train(factor: float) -> Toy:
    return Toy(factor)

@fw.task
def judge(factor: float) -> fw.Evaluation:
    return fw.evaluate([1.0, 2.0, 3.0], [factor, factor * 2, factor * 3])

@fw.task
def champion() -> float:
    return fw.model("toy@champion").factor

@fw.task
def given(model: Toy) -> float:
    return model.factor

@fw.pipeline
def learn(factor: float = 1.5, bound: float = 0.9):
    fw.register("toy", train(factor), evaluation=judge(factor), at_most={"mae": bound},
                better_than="champion")

@fw.pipeline
def use(reference: str = "toy@champion"):
    print(champion() + 0, given(fw.model(reference)) + 0)
"""


def test_models_are_gated_aliased_compared_and_used_in_steps(project: Project) -> None:
    project.write(MODELS)
    unknown = project.fairway("run", "project.py:use", expect=None)
    assert unknown.returncode in (1, 4)
    assert "toy" in unknown.stderr
    refused = project.fairway("run", "project.py:learn", expect=3).stderr
    assert "mae 1 (at most 0.9)" in refused
    assert "hint:" in refused
    project.fairway("run", "project.py:learn", "--factor", "1.2")
    assert told_of(project, "use") == ["1.2 1.2"]
    worse = project.fairway("run", "project.py:learn", "--factor", "1.3", expect=3).stderr
    assert "mae 0.6 (better than 0.4 of toy@champion)" in worse
    project.fairway("run", "project.py:learn", "--factor", "1.1")
    assert told_of(project, "use", "--reference", "toy:1") == ["1.1 1.2"]
    assert told_of(project, "use", "--reference", "toy") == ["1.1 1.1"]
    listed = json.loads(project.fairway("models", "--json").stdout)
    assert [(model["name"], model["newest"]["version"], model["aliases"]) for model in listed] == [
        ("toy", 2, {"champion": 2})
    ]
    compared = project.fairway("models", "compare", "toy:1", "toy:2").stdout
    assert "parameter factor" in compared
    assert "metric mae" in compared
    shown = project.fairway("models", "show", "toy@champion").stdout
    for word in ("toy version 2", "code        sha256", "environment sha256", "mae"):
        assert word in shown


def test_a_secret_is_known_by_name_and_printed_nowhere(project: Project) -> None:
    project.write(
        """
@fw.task
def use(key: fw.Secret) -> int:
    print(key, "of", len(key.reveal()))
    return len(key.reveal())

@fw.pipeline
def main(key: fw.Secret = fw.Secret("SPARE_KEY")):
    print(use(key) + 0)
"""
    )
    project.environment["SPARE_KEY"] = "hush-hush-7341"
    project.environment["OTHER_KEY"] = "x"
    assert told(project) == ["14"]
    assert "Secret('SPARE_KEY') of 14" in project.fairway("logs").stdout
    assert told(project, "--key", "OTHER_KEY") == ["1"]
    for path in (project.folder / ".fairway").rglob("*"):
        assert not path.is_file() or b"hush-hush-7341" not in path.read_bytes(), path
    missing = project.fairway("run", "project.py", "--key", "NO_KEY", expect=1).stderr
    assert "there is no secret 'NO_KEY' here" in missing


SCRIPT = """
if __name__ == "__main__":
    run = fw.run(main)
    print(run.ok, run.phase)
    page = run._repr_html_()
    print("accuracy" in page, page.count("<svg") > 0, "<script" in page)
    print("accuracy" in str(run), list(run.evaluations), list(run.metrics))
    try:
        fw.run(main, wrong=1)
    except Exception as error:
        print(type(error).__name__, error)
"""


def script(project: Project) -> list[str]:
    """Run the project file by Python itself."""
    done = subprocess.run(
        [sys.executable, "project.py"], cwd=project.folder, env=project.environment,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


def test_a_run_of_a_script_renders_with_its_evaluations(project: Project) -> None:
    project.write(SHOWN + SCRIPT)
    said = script(project)
    assert said[0] == "True Succeeded"
    assert said[1] == "True True False"
    assert said[2] == "True ['report'] ['outside', 'draw/loss', 'draw/final']"
    assert said[3] == "UsageError main has no parameter 'wrong'"


EXPLAINED = """
RATE = 2

class Scale:
    by = 3

def helper(x: int) -> int:
    return x * RATE * Scale.by

@fw.task(cache=True)
def work(x: int) -> int:
    return helper(x)

@fw.pipeline
def main(x: int = 1):
    work(x)
"""


def changed(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose step is cached."""
    project = Project(tmp_path_factory.mktemp("explained"))
    project.write(EXPLAINED)
    project.fairway("run", "project.py")
    return project.folder


@pytest.mark.parametrize(
    ("change", "words", "why"),
    [
        (changed("    return helper(x)", "    # a remark\n    return (\n        helper(x)\n    )"), (), ""),
        (changed("RATE = 2", 'RATE = 2  # percent\n"""More."""\n'), (), ""),
        (changed("def main(x: int = 1):", "def main(x: int = 1, y: int = 2):"), (), ""),
        (changed("RATE = 2", "RATE = 3"), (), "constant RATE changed"),
        (changed("x * RATE", "RATE * x"), (), "helper helper changed"),
        (changed("by = 3", "by = 4"), (), "class Scale changed"),
        (changed("return helper(x)", "return helper(x) + 0"), (), "function work changed"),
        (changed("", ""), ("--x", "2"), "no earlier result with x=2"),
    ],
)
def test_explain_says_what_broke_the_cache(
    explained: Path, tmp_path: Path, change: Callable[[str], str], words: tuple[str, ...], why: str
) -> None:
    shutil.copytree(explained, tmp_path / "project")
    project = Project(tmp_path / "project")
    (project.folder / "project.py").write_text(change(HEAD + EXPLAINED) if words == () else HEAD + EXPLAINED)
    planned = json.loads(project.fairway("plan", "project.py", *words, "--json").stdout)
    said = project.fairway("run", "project.py", "--explain", *words).stderr
    assert planned[0]["step"].startswith("work x=")
    if why:
        assert why in said
        assert why in planned[0]["why"]
        assert planned[0]["will"] == "run"
    else:
        assert "cached" in said
        assert planned[0]["will"] == "cached"
