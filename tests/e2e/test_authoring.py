"""What a project file can say, by the real command line: control flow, calls, values, words inside steps."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from projects import HEAD, Project


def told(project: Project, *words: str, expect: int | None = 0) -> list[str]:
    """What the pipeline's own function prints, line by line."""
    project.fairway("run", "project.py", *words, expect=expect)
    name = project.newest()
    return project.fairway("logs", f"{name}/pipeline").stdout.splitlines()


def steps(project: Project) -> dict[str, dict[str, object]]:
    """The newest run's steps by name."""
    return {
        step["spec"]["name"]: step for step in json.loads(project.fairway("show", "--json").stdout)["steps"]
    }


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


def told_of(project: Project, pipeline: str, *words: str) -> list[str]:
    """As `told`, of one pipeline of several."""
    project.fairway("run", f"project.py:{pipeline}", *words)
    return project.fairway("logs", f"{project.newest()}/pipeline").stdout.splitlines()


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


PARAMETERS = """
import enum, dataclasses, datetime, typing
from pathlib import Path
import msgspec

class Color(enum.Enum):
    RED = "r"
    BLUE = "b"

@dataclasses.dataclass
class Shape:
    sides: int
    name: str = "square"

class Limits(msgspec.Struct):
    low: float = 0.0
    high: float = 1.0

@fw.task
def same(value: object) -> object:
    return value

@fw.pipeline
def main(
    number: int = 1, share: float = 0.5, fast: bool = False, word: str = "a", where: Path = Path("x"),
    mode: typing.Literal["on", "off", "3"] = "on", level: typing.Literal[1, 2] = 1, color: Color = Color.RED,
    many: list[int] = [1], texts: list[str] = ["t"], pair: tuple[int, str] = (1, "x"),
    maybe: int | None = None, shape: Shape = Shape(4), limits: Limits = Limits(),
    day: datetime.date = datetime.date(2020, 1, 2), table: dict[str, int] = {}, colors: list[Color] = [],
):
    for name, value in list(locals().items()):
        print(name, repr(fw.value(same(value))), sep="=")
"""


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--number", "-7"], "number=-7"),
        (["--number=8"], "number=8"),
        (["--share", "1e-3"], "share=0.001"),
        (["--fast"], "fast=True"),
        (["--no-fast"], "fast=False"),
        (["--word", "two words"], "word='two words'"),
        (["--word=--dashed"], "word='--dashed'"),
        (["--mode", "off"], "mode='off'"),
        (["--level", "2"], "level=2"),
        (["--color", "BLUE"], "color=<Color.BLUE: 'b'>"),
        (["--color", "b"], "color=<Color.BLUE: 'b'>"),
        (["--many", "4", "5", "6"], "many=[4, 5, 6]"),
        (["--texts", "a b", "c"], "texts=['a b', 'c']"),
        (["--pair", "3", "z"], "pair=(3, 'z')"),
        (["--maybe", "4"], "maybe=4"),
        (["--maybe", "none"], "maybe=None"),
        (["--shape", '{"sides": 3}'], "shape=Shape(sides=3, name='square')"),
        (["--shape", "shape.toml"], "shape=Shape(sides=6, name='hexagon')"),
        (["--limits", "limits.json"], "limits=Limits(low=-1.0, high=2.0)"),
        (["--day", "2024-02-29"], "day=datetime.date(2024, 2, 29)"),
        (["--table", '{"a": 1}'], "table={'a': 1}"),
        (["--colors", "RED", "b"], "colors=[<Color.RED: 'r'>, <Color.BLUE: 'b'>]"),
        (["--config", "all.toml"], "shape=Shape(sides=5, name='pentagon')"),
        (["--config", "all.toml"], "many=[7, 8]"),
        (["--config", "all.toml"], "color=<Color.BLUE: 'b'>"),
        (["--config", "all.toml", "--many", "1"], "many=[1]"),
        (["--config", "all.json"], "limits=Limits(low=0.0, high=9.5)"),
        (["--config", "all.json"], "fast=True"),
    ],
)
def test_every_type_of_parameter_is_a_flag(project: Project, words: list[str], printed: str) -> None:
    project.write(PARAMETERS)
    (project.folder / "shape.toml").write_text('sides = 6\nname = "hexagon"\n')
    (project.folder / "limits.json").write_text('{"low": -1, "high": 2}')
    (project.folder / "all.toml").write_text(
        'many = [7, 8]\ncolor = "b"\n[shape]\nsides = 5\nname = "pentagon"\n'
    )
    (project.folder / "all.json").write_text('{"limits": {"high": 9.5}, "fast": true}')
    assert printed in told(project, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--number", "1.5"], "--number takes a value of type int, not '1.5'"),
        (["--share", "half"], "--share takes a value of type float, not 'half'"),
        (["--fast", "yes"], "'yes' belongs to no flag"),
        (["--fast=perhaps"], "--fast takes a value of type bool, not 'perhaps'"),
        (
            ["--mode", "maybe"],
            "--mode takes a value of type Literal['on', 'off', '3'], not 'maybe'\nhint: one of on, off, 3",
        ),
        (["--level", "9"], "--level takes a value of type Literal[1, 2], not '9'\nhint: one of 1, 2"),
        (["--color", "green"], "--color takes a value of type Color, not 'green'\nhint: one of RED, BLUE"),
        (["--many", "1", "two"], "--many takes a value of type int, not 'two'"),
        (["--pair", "1"], "--pair takes 2 values (tuple[int, str]), not 1"),
        (["--maybe", "some"], "--maybe takes a value of type int, not 'some'"),
        (["--shape", '{"sides": "x"}'], "--shape takes a value of type int at shape.sides, not 'x'"),
        (["--shape", "nowhere.toml"], "cannot read 'nowhere.toml'"),
        (["--shape", '{"corners": 3, "sides": 1}'], "which has no 'corners'"),
        (["--day", "yesterday"], "--day takes a value of type date, not 'yesterday'"),
        (["--config", "nowhere.toml"], "cannot read 'nowhere.toml'"),
        (["--config", "wrong.toml"], "wrong.toml is not valid TOML"),
        (["--config", "unknown.json"], "main has no parameter 'colour'"),
        (["--config", "kind.json"], "--number takes a value of type int"),
        (["--number", "1", "--number", "2"], "--number is given twice"),
        (["stray"], "'stray' belongs to no flag"),
    ],
)
def test_a_wrong_value_names_flag_type_and_value_and_starts_nothing(
    project: Project, words: list[str], said: str
) -> None:
    project.write(PARAMETERS)
    (project.folder / "wrong.toml").write_text("many = [7,,]\n")
    (project.folder / "unknown.json").write_text('{"colour": "red"}')
    (project.folder / "kind.json").write_text('{"number": "many"}')
    assert said in project.fairway("run", "project.py", *words, expect=2).stderr
    assert json.loads(project.fairway("runs", "--json").stdout) == []


def test_a_parameter_named_config_has_that_flag_for_itself(project: Project) -> None:
    project.write(
        "from dataclasses import dataclass\n\n"
        "@dataclass\nclass Config:\n    depth: int = 3\n\n"
        "@fw.pipeline\ndef main(config: Config = Config()):\n    print(config.depth)\n"
    )
    (project.folder / "deep.toml").write_text("depth = 9\n")
    (project.folder / "odd.toml").write_text("depht = 9\n")
    assert told(project, "--config", "deep.toml") == ["9"]
    assert "depht" in project.fairway("run", "project.py", "--config", "odd.toml", expect=2).stderr
    helped = project.fairway("run", "project.py", "--help").stdout
    assert "--config Config" in helped
    assert "--config FILE" not in helped


def test_of_several_pipelines_one_must_be_chosen(project: Project) -> None:
    project.write(
        "@fw.pipeline\ndef one():\n    print('uno')\n\n@fw.pipeline\ndef two():\n    print('due')\n"
    )
    for command in ("run", "plan"):
        stderr = project.fairway(command, "project.py", expect=2).stderr
        assert "one" in stderr
        assert "two" in stderr
        assert "`fairway run project.py:one`" in stderr
    assert told_of(project, "two") == ["due"]
    assert "three" in project.fairway("run", "project.py:three", expect=None).stderr


FILES = """
import pathlib

@fw.task(cache=True)
def read(file: fw.File) -> str:
    return f"{file.name} {pathlib.Path(file).suffix} {open(file).read().strip()}"

@fw.task(cache=True)
def listed(folder: fw.Folder) -> list[str]:
    root = pathlib.Path(folder)
    return [folder.name, *sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())]

@fw.task
def make() -> fw.File:
    pathlib.Path("made.csv").write_text("a,b\\n")
    return fw.File("made.csv")

@fw.pipeline
def main(file: fw.File = fw.File("rows.csv"), folder: fw.Folder = fw.Folder("pictures")):
    print(fw.value(read(file)))
    print(fw.value(listed(folder)))
    print(fw.value(read(make())))
"""


def test_files_and_folders_keep_their_names_and_are_cached_by_content(project: Project) -> None:
    project.write(FILES)
    rows, pictures = project.folder / "rows.csv", project.folder / "pictures"
    rows.write_text("one")
    (pictures / "deep").mkdir(parents=True)
    (pictures / "deep/a.png").write_bytes(b"a")
    expected = ["rows.csv .csv one", "['pictures', 'deep/a.png']", "made.csv .csv a,b"]

    def run(*words: str) -> set[str]:
        printed.append(told(project, *words))
        return {name for name, step in steps(project).items() if step["cached"]}

    printed: list[list[str]] = []
    assert run() == set()
    assert printed[-1] == expected
    rows.touch()
    assert run() == {"read", "listed", "read-2"}
    assert printed[-1] == expected
    rows.write_text("two")
    assert run() == {"listed", "read-2"}
    assert printed[-1][0] == "rows.csv .csv two"
    (pictures / "b.png").write_bytes(b"b")
    assert run() == {"read", "read-2"}
    assert printed[-1][1] == "['pictures', 'b.png', 'deep/a.png']"
    missing = project.fairway("run", "project.py", "--file", "nowhere.csv", expect=2).stderr
    assert "--file takes a value of type File, and there is none at 'nowhere.csv'" in missing
    other = project.fairway("run", "project.py", "--file", "pictures", expect=2).stderr
    assert "pictures is not a file" in other


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
    project: Project, change: Callable[[str], str], words: tuple[str, ...], why: str
) -> None:
    project.write(EXPLAINED)
    project.fairway("run", "project.py")
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
