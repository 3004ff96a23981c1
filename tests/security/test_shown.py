"""What is shown is harmless: no text of a project is carried out by a terminal, and no picture runs or loads anything."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from projects import Project

from fairway.cli import progress, story, views
from fairway.engine import pictures
from fairway.engine.report import Run
from fairway.formats.svg import drawing
from fairway.spec.artifact import Artifact
from fairway.spec.run import (
    Failure,
    MetricPoint,
    Phase,
    Reason,
    RunSpec,
    RunStatus,
    RunSummary,
    StepSpec,
    StepStatus,
)
from fairway.spec.text import escaped, harmless, one_line

COMMANDS = Path(progress.__file__).parent
EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m\x90x\x9c\r\b\x07\x7f\u202eover\u2066ride\u200e\u2028\nerror: forged"
HARM = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
"""What may not reach a terminal; tabs and line ends may."""

PROJECT = f"""
EVIL = {EVIL!r}

@fw.task
def shows(who: str) -> int:
    print("plain", EVIL)
    fw.show([1], title="t" + EVIL)
    fw.log(**{{"m" + EVIL: 2.0}})
    return 1

@fw.task
def fails(who: str) -> int:
    raise ValueError("boom " + EVIL + who)

@fw.task
def model() -> object:
    from sklearn.linear_model import LinearRegression
    return LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])

@fw.pipeline
def good(who: str = "x"):
    shows(who)
    fw.register("evil", model(), sample=[[1.0], [2.0]], description="desc " + EVIL)

@fw.pipeline
def bad(who: str = "x"):
    '''Does all.'''
    return fails(who)
"""

NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
MARK = "document.documentElement.setAttribute('data-owned','yes')"
PAGE = "data:text/html,x"
ACTIVE = [
    f"<svg {NS} xmlns:x='http://www.w3.org/2000/svg'><x:script>{MARK}</x:script></svg>",
    f"<svg {NS}><script>{MARK}</script></svg>", f"<svg {NS}><SCRIPT>{MARK}</SCRIPT></svg>",
    f"<s:svg xmlns:s='http://www.w3.org/2000/svg'><s:script>{MARK}</s:script></s:svg>",
    f"<svg {NS} onload=\"{MARK}\"/>", f"<svg {NS}><rect OnClick=\"{MARK}\"/></svg>",
    f"<svg {NS}><h:script xmlns:h='http://www.w3.org/1999/xhtml'>{MARK}</h:script></svg>",
    f"<svg {NS}><foreignObject><p xmlns='http://www.w3.org/1999/xhtml'>x</p></foreignObject></svg>",
    f"<svg {NS}><metadata><script>{MARK}</script></metadata></svg>",
    f"<svg {NS}><metadata><x xmlns='http://www.w3.org/1999/xhtml'/></metadata></svg>",
    f"<svg {NS}><a href=\"javascript:{MARK}\"><text>x</text></a></svg>", f"<svg {NS}><a xlink:href='https://x.org'/></svg>",
    f"<svg {NS}><use href='https://x.org/a.svg#b'/></svg>", f"<svg {NS}><use xlink:href='data:image/svg+xml,x#b'/></svg>",
    f"<svg {NS}><image href='https://x.org/a.png'/></svg>", f"<svg {NS}><image href='//x.org/a.png'/></svg>",
    f"<svg {NS}><image xlink:href='data:image/svg+xml;base64,PHN2Zz4='/></svg>", f"<svg {NS}><feImage href='#a'/></svg>",
    f"<svg {NS}><rect><animate attributeName='href' to='javascript:1'/></rect></svg>",
    f"<svg {NS}><rect><set attributeName='onload' to='1'/></rect></svg>", f"<svg {NS}><handler>1</handler></svg>",
    f"<svg {NS}><style>@import 'https://x.org/a.css';</style></svg>", f"<svg {NS}><style>*{{fill:url(//x.org/a)}}</style></svg>",
    f"<svg {NS}><style>*{{fill:u\\72l(//x.org/a)}}</style></svg>", f"<svg {NS}><style>@font-face{{src:url(x)}}</style></svg>",
    f"<svg {NS}><rect style='fill:url(https://x.org/a#b)'/></svg>", f"<svg {NS}><rect fill='url(https://x.org/a#b)'/></svg>",
    f"<svg {NS}><rect style=\"background:image-set('//x.org/a' 1x)\"/></svg>",
    f"<svg {NS}><rect cursor='url(x.cur),auto'/></svg>",
    f"<svg {NS} xml:base='https://x.org/'><use href='#a'/></svg>", f"<svg {NS}><iframe src='{PAGE}'/></svg>",
    f"<?xml version='1.0'?><?xml-stylesheet href='https://x.org/a.css'?><svg {NS}/>", f"<svg {NS}><?php x ?></svg>",
    f"<!DOCTYPE svg [<!ENTITY a 'aaaa'>]><svg {NS}><text>&a;</text></svg>",
    f"<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg {NS}><text>&a;</text></svg>",
    "<!DOCTYPE svg [<!ENTITY a 'aaaaaaaa'>"
    + "".join(f"<!ENTITY {chr(98 + n)} '{('&' + chr(97 + n) + ';') * 10}'>" for n in range(9))
    + f"]><svg {NS}><text>&j;</text></svg>",
    f"<svg {NS}>" + "<g>" * 200 + "</g>" * 200 + "</svg>", f"<svg {NS}><rect/>", f"<svg {NS}/><p>x</p>", "<html/>", "<svg:svg/>",
    f"<svg {NS}><g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g></svg>",
    f"<svg {NS}><desc><style>x</style></desc></svg>", f"<svg {NS}><title><rect/></title></svg>",
]  # fmt: skip


def harm_in(text: str) -> list[str]:
    return [hex(ord(char)) for char in HARM.findall(text)]


@pytest.mark.parametrize(
    "code", [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F, 0x2028, 0xE0041, 0xDC80]
)
def test_no_character_that_a_terminal_carries_out_is_left_in_a_line(code: int) -> None:
    text = f"a{chr(code)}b"
    assert not harm_in(one_line(text))
    assert "\n" not in one_line(text)
    assert not harm_in(escaped(msgspec.json.encode(text).decode()) if code != 0xDC80 else "")
    if code != 0xDC80:
        assert json.loads(escaped(msgspec.json.encode(text).decode())) == text


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("plain", "naïve café", "日本語", "مرحبا", "👩‍🔬 emoji", "a\tb", "→ × …"):
        assert one_line(text) == text
    assert harmless("two\nlines") == "two\nlines"
    assert one_line("two\nlines") == "two\\nlines"


def run_with(text: str) -> RunStatus:
    """A failed run with the text wherever a run has one."""
    failure = Failure(reason=Reason.USER, message=text, hint=text, details=text)
    spec = StepSpec(name=text, task=text, inputs={}, label=text)
    shown = {text: Artifact(format=text, digest="d", size=1, kind=text, note=text)}
    metrics = (MetricPoint(name=text, value=1.0, index=0.0),)
    step = StepStatus(
        spec=spec, phase=Phase.FAILED, failure=failure, shown=shown, metrics=metrics, why=text,
        outputs=tuple(shown.values()),
    )  # fmt: skip
    run = RunSpec(name=text, pipeline=text, project=text, source="", parameters={}, shown={text: text})
    return RunStatus(
        spec=run, phase=Phase.FAILED, started=1.0, steps=(step,), failure=failure, shown=shown, metrics=metrics,
        models=(text,),
    )  # fmt: skip


def test_every_view_of_a_run_is_harmless_and_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    status = run_with(EVIL)
    summary = RunSummary(name=EVIL, pipeline=EVIL, phase=Phase.FAILED, started=1.0, steps=1, message=EVIL)
    story.show(*views.run(status, alive=False), *views.runs([summary]))
    story.show(*views.table((EVIL, "b"), [(EVIL, EVIL)]))
    story.report(f"error: {EVIL}", f"hint: {EVIL}")
    story.show_json(status)
    said = capsys.readouterr()
    for text in (said.out, said.err, repr(Run(status, lambda node: node))):
        assert not harm_in(text)
        assert not re.search(r"^error: forged", text, re.MULTILINE)


def test_commands_print_through_one_module_alone() -> None:
    """A new command that prints by itself fails here."""
    allowed = {("progress.py", "self._stream.write"), ("main.py", "sys.stderr.close")}
    for path in COMMANDS.glob("*.py"):
        if path.name == "story.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            prints = called in ("print", "input") or re.search(
                r"\b(echo|secho|prompt|confirm)$|echo_via_pager|(stdout|stderr|_stream)\.(write\w*|buffer\b.*)$|os\.write$",
                called,
            )
            assert not prints or (path.name, called) in allowed, f"{path.name}:{node.lineno} calls {called}"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command says of a project full of escape codes."""
    project = Project(tmp_path_factory.mktemp("evil"))
    project.write(PROJECT)
    told: dict[str, str] = {}

    def fairway(*words: str) -> None:
        done = project.fairway(*words, expect=None)
        told[" ".join(words)] = done.stdout + done.stderr

    for words in (
        ("run", "project.py:good", "--who", EVIL), ("run", "project.py:bad", "--who", EVIL), ("runs",), ("show",), ("logs",),
        ("show", "--save", "out"), ("models",), ("models", "show", "evil"), ("models", "show", "evil:1"),
        ("plan", "project.py:bad", "--who", EVIL), ("run", "project.py:bad", "--help"), ("run", "project.py:bad", f"--{EVIL}"),
        ("run", f"{EVIL}.py"), ("show", EVIL), ("logs", EVIL), ("cancel", EVIL), ("models", "show", EVIL), ("deploy", EVIL),
        ("undeploy", EVIL), ("restore", EVIL), ("backup", f"out{EVIL}"), (EVIL,), ("doctor",), (),
    ):  # fmt: skip
        fairway(*words)
    names = [run["name"] for run in json.loads(project.fairway("runs", "--json").stdout)]
    for words in (
        ("compare", *names[:2]),
        ("show", names[-1]),
        ("logs", names[-1]),
        ("show", f"{names[-1]}/shows"),
    ):
        fairway(*words)
        fairway(*words, "--json")
    return told


def test_no_command_lets_an_escape_code_through(said: dict[str, str]) -> None:
    assert "boom" in said[" ".join(("run", "project.py:bad", "--who", EVIL))]
    assert "desc" in said["models show evil:1"]
    for words, text in said.items():
        assert not harm_in(text), (words, text)


def test_no_command_lets_a_text_forge_a_line_of_the_story(said: dict[str, str]) -> None:
    for words, text in said.items():
        if "Traceback" not in text:
            assert not re.search(r"^(error|hint): forged", text, re.MULTILINE), (words, text)


@pytest.mark.parametrize("text", ACTIVE)
def test_a_picture_that_does_more_than_draw_is_shown_as_text(text: str) -> None:
    assert drawing(text) == ""
    suffix, page = pictures.rendered(Artifact(format="json", digest="d", size=1), text)
    assert suffix == "html"
    assert "<svg" not in page


def test_pictures_of_libraries_and_our_own_pass() -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    import fairway as fw
    from fairway import formats
    from fairway.evaluation.pictures import pictures as charts

    figure, axes = plt.subplots(2, 2)
    figure.colorbar(axes[0, 0].imshow([[1, 2], [3, 4]]))
    axes[0, 1].scatter([1, 2], [3, 4])
    axes[1, 0].bar([1, 2], [3, 4], hatch="/")
    axes[1, 1].set_title('a < b & "c"')
    drawn = drawing(formats.figure_svg(figure).decode())
    plt.close(figure)
    assert "data:image/png;base64," in drawn
    assert "<use" in drawn
    assert "clip-path" in drawn
    assert "<!DOCTYPE" not in drawn
    for judged in (
        fw.evaluate(["a", "b"] * 20, ["a", "b", "b", "a"] * 10),
        fw.evaluate(returns=[1.0, 2.0, 3.0]),
    ):
        for picture in charts(judged).values():
            assert drawing(picture) == picture


def test_a_table_is_its_cells_and_no_html_of_its_own() -> None:
    import pandas as pd

    class Loud(pd.DataFrame):
        def _repr_html_(self) -> str:
            return "<script>1</script>"

    class Page:
        def _repr_html_(self) -> str:
            return "<script>1</script>"

    artifact = Artifact(format="json", digest="d", size=1)
    evil = {"<script>a</script>": ["<img src=x onerror=1>", "b"]}
    for value in (pd.DataFrame(evil), Loud(evil), Page(), pd.Series(["<b>"], name="<i>")):
        suffix, page = pictures.rendered(artifact, value)
        assert suffix == "html"
        assert "default-src 'none'" in page
        assert not re.search(r"<(script|img|b|i)[ >]", page)


def test_a_browser_runs_and_loads_nothing_of_what_was_saved(tmp_path: Path) -> None:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    if not program:
        pytest.skip("there is no Chromium on this machine: the pictures were parsed, not opened")

    def opened(path: Path) -> str:
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
            "--virtual-time-budget=2000", "--dump-dom", path.as_uri(),
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False).stdout

    raw = tmp_path / "raw.svg"
    raw.write_text(ACTIVE[0])
    assert 'data-owned="yes"' in opened(raw), "this browser runs no scripts at all"
    frames = []
    for number, text in enumerate(ACTIVE):
        suffix, page = pictures.rendered(Artifact(format="json", digest="d", size=1), text)
        path = tmp_path / f"{number}.{suffix}"
        path.write_text(page)
        frames.append(page)
    together = tmp_path / "all.html"
    together.write_text("<!doctype html><title>calm</title>" + "\n".join(frames))
    dom = opened(together)
    assert "calm" in dom
    assert "data-owned=" not in dom.partition("<body>")[0]
