"""A pipeline's parameters as flags of the command line: their types, files and folders."""

import json

import pytest
from projects import Project, steps, told, told_of

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
    "given",
    [
        {
            ("--number", "-7"): "number=-7",
            ("--share", "1e-3"): "share=0.001",
            ("--fast",): "fast=True",
            ("--word", "two words"): "word='two words'",
            ("--mode", "off"): "mode='off'",
            ("--level", "2"): "level=2",
            ("--color", "BLUE"): "color=<Color.BLUE: 'b'>",
            ("--many", "4", "5", "6"): "many=[4, 5, 6]",
            ("--texts", "a b", "c"): "texts=['a b', 'c']",
            ("--pair", "3", "z"): "pair=(3, 'z')",
            ("--maybe", "4"): "maybe=4",
            ("--shape", '{"sides": 3}'): "shape=Shape(sides=3, name='square')",
            ("--limits", "limits.json"): "limits=Limits(low=-1.0, high=2.0)",
            ("--day", "2024-02-29"): "day=datetime.date(2024, 2, 29)",
            ("--table", '{"a": 1}'): "table={'a': 1}",
            ("--colors", "RED", "b"): "colors=[<Color.RED: 'r'>, <Color.BLUE: 'b'>]",
        },
        {
            ("--number=8",): "number=8",
            ("--no-fast",): "fast=False",
            ("--word=--dashed",): "word='--dashed'",
            ("--color", "b"): "color=<Color.BLUE: 'b'>",
            ("--maybe", "none"): "maybe=None",
            ("--shape", "shape.toml"): "shape=Shape(sides=6, name='hexagon')",
        },
    ],
    ids=["first", "other"],
)
def test_every_type_of_parameter_is_a_flag(project: Project, given: dict[tuple[str, ...], str]) -> None:
    project.write(PARAMETERS)
    (project.folder / "shape.toml").write_text('sides = 6\nname = "hexagon"\n')
    (project.folder / "limits.json").write_text('{"low": -1, "high": 2}')
    printed = told(project, *(word for words in given for word in words))
    assert [line for line in given.values() if line not in printed] == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            ["--config", "all.toml"],
            {"number=1", "shape=Shape(sides=5, name='pentagon')", "many=[7, 8]", "color=<Color.BLUE: 'b'>"},
        ),
        (["--config", "all.toml", "--many", "1"], {"many=[1]", "shape=Shape(sides=5, name='pentagon')"}),
        (["--config", "all.json"], {"limits=Limits(low=0.0, high=9.5)", "fast=True"}),
    ],
)
def test_parameters_come_from_a_file_and_flags_win(
    project: Project, words: list[str], wanted: set[str]
) -> None:
    project.write(PARAMETERS)
    (project.folder / "all.toml").write_text(
        'many = [7, 8]\ncolor = "b"\n[shape]\nsides = 5\nname = "pentagon"\n'
    )
    (project.folder / "all.json").write_text('{"limits": {"high": 9.5}, "fast": true}')
    assert wanted - set(told(project, *words)) == set()


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
