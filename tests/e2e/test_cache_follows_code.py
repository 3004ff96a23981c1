"""The cache and the project's code: a run, an edit, and a run again, for every way by which code reaches a task."""

import json
import re
from pathlib import Path

import pytest
from projects import Project

FEATURES = """
import dataclasses, enum, functools
from typing import NamedTuple

RULES = {}

def rule(function):
    RULES[function.__name__] = function
    return function

def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + 0  # edit
    return wrapper

class Model:
    def predict(self, x):
        return x + 0  # edit

class Kind(enum.Enum):
    A = "a"
    def apply(self, x):
        return x + 0  # edit

@dataclasses.dataclass
class Settings:
    depth: int = 1
    def apply(self, x):
        return x + 0  # edit

class Point(NamedTuple):
    x: int
    def apply(self, x):
        return x + 0  # edit

def plain(x):
    return x + 0  # edit

def inner(x):
    return x + 0  # edit

def outer(x):
    return inner(x)

def closed(by):
    def closure(x):
        return plain(x) + by
    return closure

@functools.lru_cache
def kept(x):
    return plain(x)

@logged
def decorated(x):
    return x

class Scaled:
    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function
    def __call__(self, x):
        return self.function(x) + 0  # edit

@Scaled
def scaled(x):
    return x

class Net:
    def forward(self, x):
        return x

def patched(self, x):
    return x + 0  # edit

Net.forward = patched

class Wrapped:
    @logged
    def forward(self, x):
        return x

    @functools.cached_property
    def width(self):
        return plain(1)

@functools.singledispatch
def size(x):
    return 0

class Dispatching:
    @functools.singledispatchmethod
    def size(self, x):
        return 0

    @size.register
    def _(self, x: int):
        return plain(x)

@rule
def first(x):
    return plain(x)
"""

SIZES = """
from features import size

@size.register
def _(x: int):
    return x + 0  # edit
"""

LATER = """
def late(x):
    return x + 0  # edit
"""

TASKS = """
import functools, importlib
import features, sizes

def imported(x):
    return importlib.import_module("later").late(x)

def imported_by_made_name(x):
    return importlib.import_module("la" + "ter").late(x)

def imported_by_builtin(x):
    return __import__("later").late(x)

def looked_up(x, name="plain"):
    return getattr(features, name)(x)

def evaluated(x):
    return eval("features.plain(x)")

@fw.task(cache=True)
def call(function: object, tag: str) -> object:
    return function(1)

@fw.task(cache=True)
def each(functions: object, tag: str) -> object:
    return [function(1) for function in functions]

@fw.task(cache=True)
def use(thing: object, tag: str) -> object:
    return getattr(thing, "predict", None)(1) if hasattr(thing, "predict") else thing.apply(1)

@fw.task
def make(what: str) -> object:
    made = {"instance": features.Model(), "nested": {"a": [features.Settings(2)]}, "whole": lambda x: features.plain(x)}
    return made[what]

@fw.task(cache=True)
def held(things: dict, tag: str) -> object:
    return things["a"][0].apply(1)

@fw.task(cache=True)
def by_name(name: str) -> object:
    return getattr(features, "Mod" + name)()

@fw.task(cache=True)
def dispatched(x: int) -> object: return features.size(x)

@fw.task(cache=True)
def dispatched_method(x: int) -> object: return features.Dispatching().size(x)

@fw.task(cache=True)
def imports(x: int) -> object: return imported(x)

@fw.task(cache=True)
def imports_made_name(x: int) -> object: return imported_by_made_name(x)

@fw.task(cache=True)
def imports_builtin(x: int) -> object: return imported_by_builtin(x)

@fw.task(cache=True)
def imports_inside(x: int) -> object:
    from importlib import import_module
    return import_module("later").late(x)

@fw.task(cache=True)
def looks_up(x: int) -> object: return looked_up(x)

@fw.task(cache=True)
def evaluates(x: int) -> object: return evaluated(x)

@fw.task(cache=True)
def registered(x: int) -> object: return features.RULES["first"](x)

@fw.task(cache=True)
def patches(x: int) -> object: return features.Net().forward(x)

@fw.task(cache=True)
def wraps(x: int) -> object: return features.Wrapped().forward(x) + features.Wrapped().width

@fw.task(cache=True)
def scales(x: int) -> object: return features.scaled(x)

@fw.pipeline
def main():
    call(features.plain, "function"), call(features.outer, "what a function calls"), call(features.kept, "lru_cache")
    call(features.closed(3), "closure"), call(lambda x: features.plain(x), "lambda"), call(features.scaled, "callable")
    call(functools.partial(features.plain), "partial"), call(features.Model().predict, "bound method")
    call(features.decorated, "decorated"), each([features.plain], "list"), each((features.outer, make("whole")), "group")
    call(make("whole"), "lambda of a step")
    use(features.Model(), "instance"), use(features.Kind.A, "enum"), use(features.Settings(), "dataclass")
    use(features.Point(1), "named tuple"), use(make("instance"), "instance of a step"), held(make("nested"), "nested")
    use(by_name("el"), "instance of a cached step")
    dispatched(1), dispatched_method(1), imports(1), imports_made_name(1), imports_builtin(1), imports_inside(1)
    looks_up(1), evaluates(1), registered(1), patches(1), wraps(1), scales(1)
"""


def planned(project: Project) -> dict[str, tuple[str, str]]:
    told = json.loads(project.fairway("plan", "project.py", "--json").stdout)
    return {one["step"]: (one["will"], one["why"]) for one in told}


def results(project: Project) -> dict[str, tuple[bool, str]]:
    """Of every step of the newest run: whether it came from the cache, and why it ran."""
    told = project.fairway("run", "project.py", "--explain").stderr
    lines = re.findall(r"^  (\S.*?)  +(cached|done) .*?(?:ran: (.*))?$", told, re.MULTILINE)
    return {name: (how == "cached", why) for name, how, why in lines}


def test_whatever_code_reaches_a_task_runs_it_again_when_it_changes(project: Project) -> None:
    (project.folder / "features.py").write_text(FEATURES)
    (project.folder / "sizes.py").write_text(SIZES)
    (project.folder / "later.py").write_text(LATER)
    project.write(TASKS)
    project.fairway("run", "project.py")
    again = results(project)
    assert len(again) > 30
    uncached = {name for name, (cached, _) in again.items() if not cached}
    assert all(name.startswith("make") for name in uncached), uncached
    for name in ("features.py", "sizes.py", "later.py"):
        file = project.folder / name
        file.write_text(file.read_text().replace("+ 0  # edit", "+ 1  # edit"))
    edited = results(project)
    stale = {name for name, (cached, _) in edited.items() if cached}
    assert stale <= {name for name in edited if name.startswith("by_name")}, stale
    assert edited["call tag=function"][1] == "the code of input function changed"
    assert edited["held tag=nested"][1] == "the code of input things changed"
    final = results(project)
    assert {name for name, (cached, _) in final.items() if not cached} == uncached


def test_a_plan_sees_the_code_of_inputs_as_a_run_does(project: Project) -> None:
    text = """
def g(x): return x + 1

@fw.task(cache=True)
def made(x: int) -> object: return globals()["g"]

@fw.task(cache=True)
def t(f: object, x: int) -> int: return f(x)

@fw.pipeline
def main():
    print(fw.value(t(g, 1)), fw.value(t(made(1), 2)))
"""
    project.write(text)
    project.fairway("run", "project.py")
    assert {will for will, _ in planned(project).values()} == {"cached"}
    project.write(text.replace("x + 1", "x + 2"))
    assert planned(project)["t x=1"] == ("run", "the code of input f changed")


@pytest.mark.parametrize(
    ("old", "new"),
    [("x + 1", "x + 1  # a remark"), ("# nothing", "UNUSED = 3"), ("def other", "def another")],
)
def test_what_changes_no_code_of_an_input_keeps_the_cache(project: Project, old: str, new: str) -> None:
    text = """
# nothing
def g(x): return x + 1

def other(x): return x

@fw.task(cache=True)
def t(f: object) -> int: return f(1)

@fw.pipeline
def main(): t(g)
"""
    project.write(text)
    project.fairway("run", "project.py")
    project.write(text.replace(old, new))
    assert planned(project)["t"][0] == "cached"


UNSEEN = """
import contextvars, random, subprocess
import lib

LIMIT = contextvars.ContextVar("limit", default=1)

@fw.task(cache=True)
def reads_a_file(x: int) -> str: return open("query.sql").read()

@fw.task(cache=True)
def reads_the_environment(x: int) -> str: return os.environ["".join(["SH", "OP"])] + str(len(os.environ["SHOP_TOKEN"]))

@fw.task(cache=True)
def reads_the_clock(x: int) -> float: return time.time()

@fw.task(cache=True)
def starts_a_program(x: int) -> str:
    return subprocess.run([sys.executable, "tool.py"], capture_output=True, text=True).stdout

@fw.task(cache=True)
def follows_a_setting(x: int) -> object: return lib.setting()

@fw.task(cache=True)
def uses_an_installed_package(x: int) -> object: return lib.work()

@fw.task(cache=True)
def holds_what_cannot_be_pickled(x: int) -> int: return LIMIT.get()

import settings

@fw.pipeline
def main():
    found = [reads_a_file(1), reads_the_environment(1), reads_the_clock(1), starts_a_program(1)]
    found += [follows_a_setting(1), uses_an_installed_package(1), holds_what_cannot_be_pickled(1)]
    print(*map(fw.value, found))
"""

LISTED = {
    "reads_a_file": "files that a task opens by a path of its own",
    "reads_the_environment": "environment variables",
    "reads_the_clock": "the clock and random numbers",
    "starts_a_program": "programs that the task starts, and services that it asks",
    "follows_a_setting": "changes that other modules make at import",
    "uses_an_installed_package": "a change inside an installed package that keeps its version",
    "holds_what_cannot_be_pickled": "data in a constant that cannot be pickled",
}
"""Every line of the list in docs/howto/cache-and-resume.md, by the task that shows it."""


def test_what_the_key_does_not_see_is_what_the_page_lists(project: Project) -> None:
    page = (Path(__file__).parents[2] / "docs/howto/cache-and-resume.md").read_text()
    listed = page.partition("## What the key does not see")[2].partition("\n## ")[0]
    assert [line for line in listed.splitlines() if line.startswith("- ")].__len__() == len(LISTED)
    assert all(f"- **{text}**" in listed for text in LISTED.values())
    packages = project.folder / "site-packages"
    packages.mkdir()
    project.environment["PYTHONPATH"] = str(packages)
    told: list[str] = []
    for edition in ("1", "2"):
        (packages / "lib.py").write_text(
            f"KEPT = [0]\n\ndef setting():\n    return KEPT[0]\n\ndef work():\n    return {edition}\n"
        )
        (project.folder / "query.sql").write_text(f"select {edition}")
        (project.folder / "tool.py").write_text(f"print({edition})")
        (project.folder / "settings.py").write_text(f"import lib\n\nlib.KEPT[0] = {edition}\n")
        project.environment |= {"SHOP": edition, "SHOP_TOKEN": f"a-long-secret-{edition}-of-nobody"}
        project.write(UNSEEN.replace("default=1", f"default={edition}"))
        told.append(project.fairway("run", "project.py").stderr)
    assert {name for name in LISTED if f"{name} x=1" in told[1]} == set(LISTED)
    assert told[1].count("cached") == len(LISTED), "an old result, as the page says"
