"""Forty texts, each a script where a page forgets to escape it, stand wherever a user names something. None of them runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import hostile_store
import pytest
from crawling import fetched, pages
from hostile_facts import texts_in, texts_with
from page_reader import Open
from page_stores import Place

sys.path.insert(0, str(Path(__file__).parents[1] / "security"))

from script_texts import SCRIPTS

from fairway.spec.deeds import KINDS
from fairway.spec.event import Body, Event

TRAP = "window.pwned = () => console.error('a text of a user was carried out')"

FLAT = [text for text in SCRIPTS if not set("/\0\n") & set(text)]
"""The texts that can be the name of a file, and one part of an address."""

UNSEEN = {
    "Artifact": {"code", "digest", "format", "refers"},  # what content is made of, and is checked against
    "Notice": {"run"}, "RefData": {"step"},  # names that stand elsewhere as well
    "RunSpec": {"source"},  # a digest that is compared
    "ScheduleSpec": {"cron", "timezone"},  # what is read by a parser before it is kept
}  # fmt: skip
"""The attributes of facts that have none of the texts, and why."""

PROJECT = f'''
from pathlib import Path

import pandas as pd
import fairway as fw

TEXTS = {SCRIPTS!r}


@fw.task
def say() -> dict[str, str]:
    for text in TEXTS:
        print(text)
        fw.log(**{{text: 1.0}})
    fw.show([[text] for text in TEXTS], title=TEXTS[0])
    return {{text: text for text in TEXTS}}


@fw.task
def table() -> pd.DataFrame:
    return pd.DataFrame({{text: [text, text] for text in TEXTS}})


@fw.task
def text() -> str:
    return "\\n".join(TEXTS)


@fw.task
def files() -> tuple[fw.Folder, fw.File]:
    Path("made").mkdir()
    for place, text in enumerate(TEXTS):
        name = text.replace("/", "∕").replace("\\0", "")
        Path("made", name).write_text(text)
    return fw.Folder("made"), fw.File(str(Path("made", name)))


@fw.task
def fail(text: str) -> int:
    raise ValueError("\\n".join(TEXTS))


@fw.pipeline
def main(text_given: str = TEXTS[0]) -> int:
    """{SCRIPTS[0]}"""
    say(), table(), text(), files()
    return fail(text_given)
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place full of such texts: a run that was really made, and a log that holds what no command would write."""
    made = Place(tmp_path_factory.mktemp("hostile"))
    try:
        (made.folder / "project.py").write_text(PROJECT, "utf-8")
        for text in FLAT:
            (made.folder / f"{text}.py").write_text(PROJECT, "utf-8")
        writing = [
            sys.executable,
            str(Path(__file__).parent / "hostile_store.py"),
            str(made.folder / ".fairway"),
        ]
        subprocess.run(writing, env=made.environment, check=True, timeout=300)
        made.fairway("run", "project.py", "--text_given", SCRIPTS[5], "--quiet", expect=None)
        made.start()
        yield made
    finally:
        made.stop()


def addresses(place: Place) -> list[str]:
    """Return a page of each kind, and the pages of each run that has one of the texts everywhere."""
    runs = [f"/runs/h{number:02}" for number in range(len(SCRIPTS))]
    steps = [
        f"{run}/steps/{word}{number}" for number, run in enumerate(runs[:8]) for word in ("step", "done")
    ]
    versions = [f"/models/hostile/{number + 1}" for number in range(len(SCRIPTS))]
    real = place.runs()[0]
    of_real = [
        f"/runs/{real}/steps/{step}{more}"
        for step in ("say", "table", "text", "files", "fail")
        for more in ("", "/log")
    ]
    quoted = [quote(text, safe="") for text in FLAT]
    by_name = [f"/{what}/{text}" for text in quoted for what in ("runs", "models", "endpoints")]
    by_name += [f"/runs/{text}/steps/{text}" for text in quoted]
    changed = [f"/system/changes?kind={kind}" for kind in KINDS]
    compared = "/compare?" + "&".join(f"run=h{number:02}" for number in range(10))
    return [
        *pages(place),
        *runs,
        *steps,
        *versions,
        f"/runs/{real}",
        *of_real,
        compared,
        f"/new?run={real}",
        *by_name,
        *changed,
        "/new",
    ]


def test_no_text_of_a_user_is_carried_out(place: Place, reader: Open) -> None:
    person = reader(place)
    person.context.add_init_script(TRAP)
    seen = 0
    for address in addresses(place):
        person.page.goto(place.url + address)
        seen += "pwned" in person.page.content()
        assert person.faults == [], address
        assert (
            person.page.evaluate(
                "() => document.querySelectorAll('[onerror], [onload], iframe, base, embed').length"
            )
            == 0
        )
    assert seen > len(SCRIPTS)
    for text in FLAT[:3]:
        person.open(f"/new?file={quote(text, safe='')}.py", status=400)
        assert "pwned" in person.text(), "no module can have such a name, which the page says"


def test_every_attribute_of_every_fact_has_the_texts() -> None:
    wanted, known = set(texts_in(Event, set())), set[Any]()
    for kind in get_args(Body):
        wanted |= set(texts_in(kind, known))
    held = set(texts_with(SCRIPTS[0], hostile_store.events(0, SCRIPTS[0])))
    assert held <= wanted
    assert len(held) > 100
    assert wanted - held == {(kind, name) for kind, names in UNSEEN.items() for name in names}


def test_the_trap_would_close(place: Place, reader: Open) -> None:
    person = reader(place)
    person.context.add_init_script(TRAP)
    person.open("/")
    person.page.evaluate("() => pwned()")
    person.until(lambda: person.faults)
    person.faults.clear()


def test_addresses_with_such_a_text_answer_with_a_page(place: Place, reader: Open) -> None:
    for text in SCRIPTS[:6]:
        for start in ("/runs/", "/models/", "/endpoints/", "/runs?text=", "/runs?where=", "/compare?run="):
            kind, said = fetched(place, start + json.dumps(text).replace("/", "%2F").replace(" ", "%20"))
            assert "<script>pwned" not in said
            assert kind in ("", "text/html")
