"""Runs on the pages, over HTTP and without any script: listed, looked into, compared, started, stopped and repeated."""

import hashlib
import json
import re
from collections.abc import Iterator

import pytest
from page_clicks import Person
from projects import Project, wait_for

HOSTILE = "<script>alert(1)</script>"

PIPELINE = '''
import base64, time
from pathlib import Path
import numpy as np
import pandas as pd
import fairway as fw

IMAGE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"><circle r="4"/></svg>'

@fw.task
def table(rows: int) -> pd.DataFrame:
    """Make a table with hostile words and missing values."""
    return pd.DataFrame({
        "age": range(rows), "<script>alert(1)</script>": ["<script>alert(1)</script>"] * rows,
        "spent": [None if n % 2 else n / 4 for n in range(rows)],
    })

@fw.task
def draw(seed: int) -> np.ndarray:
    print("INFO seed", seed)
    if seed == 3:
        print("WARNING <script>alert(1)</script> of seed", seed)
    return np.random.default_rng(seed).normal(size=(20, 2))

@fw.task
def pictures() -> tuple[fw.File, fw.File]:
    """Make a file of pixels, and a page that calls itself one."""
    Path("dot.png").write_bytes(IMAGE)
    Path("evil.png").write_text("<html><script>alert(1)</script></html>")
    return fw.File("dot.png"), fw.File("evil.png")

@fw.task
def fit(data: pd.DataFrame, drawn: list[np.ndarray], epochs: int, fail: bool) -> dict:
    for epoch in range(epochs):
        fw.log(loss=1 / (epoch + 1), step=epoch)
    fw.show(DRAWING, title="a drawing")
    if fail:
        raise ValueError("no label <script>alert(1)</script>")
    return {"score": 0.5}

@fw.pipeline
def flow(rows: int = 8, epochs: int = 5, fail: bool = False, words: list[str] = ["a", "b"], kind: str = "x") -> dict:
    """Try everything."""
    pictures()
    result = fit(table(rows), [draw(seed) for seed in range(6)], epochs, fail)
    fw.log(auc=0.5 + epochs / 100)
    return result
'''

WAITING = """
@fw.task
def rest(seconds: float) -> float:
    for number in range(int(seconds * 10)):
        print("rested", number, flush=True)
        time.sleep(0.1)
    return seconds

@fw.pipeline
def slow(seconds: float = 120.0) -> float:
    return rest(seconds)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with a run that is done, one that failed, and a platform."""
    project = Project(tmp_path_factory.mktemp("runs"))
    project.write(PIPELINE, "flow.py")
    project.write(WAITING, "slow.py")
    project.fairway("run", "flow.py", "--quiet")
    project.fairway("run", "flow.py", "--fail", "--epochs", "3", "--quiet", expect=1)
    project.fairway("up")
    yield project
    project.fairway("down")


@pytest.fixture
def person(made: Project) -> Iterator[Person]:
    found = Person(made.folder / ".fairway")
    yield found
    found.client.close()


@pytest.fixture(scope="module")
def names(made: Project) -> tuple[str, str]:
    """The run that is done, and the one that failed."""
    runs = json.loads(made.fairway("runs", "--pipeline", "flow", "--json").stdout)
    return next(run["name"] for run in runs if run["phase"] == "Succeeded"), next(
        run["name"] for run in runs if run["phase"] == "Failed"
    )


def rows_of(person: Person) -> list[str]:
    """The runs of the list that is open, in its order."""
    return re.findall(r'aria-label="Choose run (\w+)"', person.page.html)


def status_of(made: Project, name: str) -> dict[str, object]:
    return json.loads(made.fairway("show", name, "--json").stdout)


def test_the_list_shows_results_and_why_a_run_failed(person, names):
    person.open("/runs?pipeline=flow")
    assert person.status == 200
    assert set(names) <= set(rows_of(person))
    assert "no label" in person.page.text
    for word in ("epochs", "fail", "auc", "loss"):
        assert word in person.page.text
    assert "<script>alert" not in person.page.html


def test_the_list_is_filtered_sorted_and_searched_by_its_address(person, names):
    done, failed = names
    assert person.open("/runs?phase=failed")
    assert rows_of(person) == [failed]
    assert person.open("/runs?where=epochs>4&pipeline=flow")
    assert done in rows_of(person)
    assert failed not in rows_of(person)
    assert person.open("/runs?sort=-loss")
    assert rows_of(person)[0] == failed
    assert person.open("/runs?sort=loss")
    assert rows_of(person)[-1] == failed
    assert person.open("/runs?text=NO+LABEL")
    assert rows_of(person) == [failed]
    person.open("/runs?text=nothing+like+that")
    assert "No run is like that" in person.page.text


def test_the_filter_survives_a_look_at_a_run(person, names):
    person.open("/runs?phase=failed&sort=-loss")
    person.press(names[1])
    assert person.where.startswith(f"/runs/{names[1]}")
    person.press("Runs, filtered")
    back = next(to for text, to in person.page.links if text == names[1])
    assert rows_of(person) == [names[1]]
    assert "sort" in back


@pytest.mark.parametrize(
    "query", ["where=epochs+%3E", "where=epohcs>1", "sort=-nothing", "phase=maybe", "since=soon"]
)
def test_a_wrong_filter_says_what_is_wrong(person, query):
    person.open(f"/runs?{query}")
    assert person.status == 400
    assert "Not done" in person.page.text


def test_the_page_of_a_failed_run_begins_with_the_cause_the_frame_and_the_last_lines(person, names):
    page = person.open(f"/runs/{names[1]}")
    text = page.text
    assert "ValueError: no label" in text
    assert re.search(r"flow\.py:\d+ in fit", text)
    assert text.index("ValueError: no label") < text.index("Steps")
    assert "<script>alert" not in page.html


def test_a_map_is_one_row_that_opens_to_its_steps(person, names):
    person.open(f"/runs/{names[0]}")
    assert "draw × 6" in person.page.text
    assert "6 done" in person.page.text
    person.press("draw × 6")
    assert "1 to 6 of 6" in person.page.text
    person.press("draw-4")
    assert person.where.endswith("/steps/draw-4")


def test_a_run_shows_its_curves_with_a_table_its_result_and_its_picture(person, names):
    page = person.open(f"/runs/{names[0]}")
    assert "fit/loss" in page.text
    assert "5 points" in page.text
    assert "0.25" in page.text
    assert '"score": 0.5' in page.text
    assert page.html.count("<svg") >= 3


def test_a_step_shows_the_first_rows_and_statistics_of_its_table(person, names):
    text = person.open(f"/runs/{names[0]}/steps/table").text
    assert "rows 8" in text
    assert "missing values 4" in text
    assert "<script>alert" not in person.page.html
    assert HOSTILE in text


def test_a_step_shows_the_histogram_of_an_array_and_what_its_neighbours_are(person, names):
    page = person.open(f"/runs/{names[0]}/steps/draw-2")
    assert "20 × 2" in page.text
    assert "count by value" in page.html
    assert [text for text, _ in page.links if "‹" in text or "›" in text] == ["‹ draw", "draw-3 ›"]


def test_a_drawing_and_an_image_have_addresses_of_their_own_and_a_page_has_none(person, names):
    page = person.open(f"/runs/{names[0]}/steps/fit")
    (drawing,) = re.findall(r'<img src="([^"]+)"', page.html)
    answer = person.client.get(drawing)
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "<circle" in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]
    page = person.open(f"/runs/{names[0]}/steps/pictures")
    (image,) = re.findall(r'<img src="([^"]+)"', page.html)
    assert person.client.get(image).headers["content-type"] == "image/png"
    evil = hashlib.sha256(b"<html><script>alert(1)</script></html>").hexdigest()
    assert person.client.get(f"/runs/{names[0]}/image/{evil}").status_code == 404


def test_a_value_is_downloaded_as_it_is_and_never_shown(person, names, made):
    person.open(f"/runs/{names[0]}/steps/draw-2")
    address = next(to for text, to in person.page.links if text == "Download")
    answer = person.client.get(address)
    assert hashlib.sha256(answer.content).hexdigest() == address.rpartition("/")[2]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/octet-stream"


def test_only_values_of_the_run_are_sent(person, names):
    for digest in ("0" * 64, "%2e%2e%2fstore.json"):
        assert person.client.get(f"/runs/{names[0]}/content/{digest}").status_code in (404, 405)


def test_a_log_is_searched_and_the_part_around_a_line_downloaded(person, names):
    base = f"/runs/{names[0]}/steps/draw-4/log"
    person.open(base)
    assert "INFO seed 3" in person.page.text
    person.press("first problem")
    assert 'class="found"' in person.page.html
    assert "<script>alert" not in person.page.html
    around = person.client.get(next(to for text, to in person.page.links if "around" in text))
    assert around.text == f"INFO seed 3\nWARNING {HOSTILE} of seed 3\n"
    assert around.headers["content-disposition"].startswith("attachment")
    person.open(base)
    person.type(find="SEED 3")
    person.press("Find")
    assert 'class="found"' in person.page.html
    person.open(f"{base}?find=nothing")
    assert "Not found" in person.page.text
    assert person.client.get(f"{base}/download").text == around.text


@pytest.mark.parametrize("step", ["none", "a%2fb", "%3cb%3e"])
def test_a_step_that_is_not_there_is_a_page_that_says_so(person, names, step):
    for path in (f"/runs/{names[0]}/steps/{step}", f"/runs/{names[0]}/steps/{step}/log"):
        assert person.client.get(path).status_code == 404


def test_two_runs_are_compared_by_what_differs(person, names, made):
    person.open(f"/compare?run={names[0]}&run={names[1]}")
    page = person.page
    body = page.html[: page.html.index("equal</summary>")]
    assert "epochs" in body
    assert "fit/loss" in body
    assert "kind" not in re.findall(r'<th scope="row">(\w+)', body)
    printed = json.loads(made.fairway("compare", *names, "--json").stdout)["differences"]
    shown = re.findall(r'<th scope="row">([^<]+)</th>', body)
    assert sorted(shown) == sorted(key.partition(" ")[2] or key for key in printed)


def test_one_run_is_compared_with_the_one_before_and_the_set_is_changed_in_place(person, names, made):
    person.open(f"/compare?run={names[1]}")
    assert f"flow {names[0]}" in person.page.text
    assert "leave out" not in person.page.text
    made.fairway("run", "flow.py", "--epochs", "2", "--quiet")
    third = made.newest()
    person.open(f"/compare?run={names[0]}&run={names[1]}&run={third}")
    assert f"flow {third}" in person.page.text
    person.press("leave out")
    assert f"flow {names[0]}" not in person.page.text
    assert f"flow {third}" in person.page.text
    person.open("/compare")
    assert person.status == 400


def test_a_run_is_tagged_and_noted(person, names, made):
    person.open(f"/runs/{names[0]}")
    person.type(tag="gold")
    person.press("Tag")
    person.type(note=HOSTILE)
    person.press("Save")
    status = status_of(made, names[0])
    assert (status["tags"], status["note"]) == (["gold"], HOSTILE)
    assert person.open("/runs?tag=gold")
    assert rows_of(person) == [names[0]]
    assert "<script>alert" not in person.page.html
    person.open(f"/runs/{names[0]}")
    person.press("×")
    assert status_of(made, names[0])["tags"] == []


def test_a_run_is_started_again_with_one_value_changed(person, names, made):
    person.open(f"/runs/{names[1]}")
    person.press("Run again")
    person.type(**{"parameter.fail": "false", "parameter.epochs": "4", "parameter.words": "a b\r\nc"})
    person.press("Run")
    name = person.where.rpartition("/")[2]
    assert name not in names
    assert person.status == 200
    shown = status_of(made, name)["spec"]["shown"]
    assert (shown["epochs"], shown["fail"], shown["words"]) == ("4", "false", "a b c")
    assert wait_for(lambda: status_of(made, name)["phase"] == "Succeeded")


def test_a_wrong_value_shows_the_form_again_with_the_error_and_starts_nothing(person, made):
    before = json.loads(made.fairway("runs", "--json").stdout)
    person.open("/runs")
    person.press("Start a run")
    person.press("flow.py")
    person.type(**{"parameter.rows": HOSTILE})
    person.press("Run")
    assert person.status == 400
    assert "--rows takes a value of type int" in person.page.text
    assert "<script>alert" not in person.page.html
    assert HOSTILE in person.page.forms[0].fields["parameter.rows"]
    assert len(json.loads(made.fairway("runs", "--json").stdout)) == len(before)


def test_a_step_is_run_again_by_itself(person, names, made):
    person.open(f"/runs/{names[0]}/steps/draw-4")
    person.press("Run this step again")
    name = person.where.rpartition("/")[2]
    assert wait_for(lambda: status_of(made, name)["phase"] == "Succeeded")
    assert status_of(made, name)["spec"]["repeats"]["run"] == names[0]


def test_a_run_is_watched_cancelled_and_resumed(person, made):
    person.open("/new?file=slow.py")
    person.press("Run")
    name = person.where.rpartition("/")[2]
    assert "running" in person.page.text
    assert f'data-live="/runs/{name}/live"' in person.page.html
    assert wait_for(lambda: "rested" in person.open(f"/runs/{name}/steps/rest/log").text)
    regions: set[str] = set()
    with person.client.stream("GET", f"/runs/{name}/live") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: ") and "id" in json.loads(line[6:]):
                regions.add(json.loads(line[6:])["id"])
            if regions == {"state", "steps", "pictures"}:
                break
    person.open(f"/runs/{name}")
    person.press("Cancel")
    assert wait_for(lambda: status_of(made, name)["phase"] == "Cancelled")
    person.open(f"/runs/{name}")
    person.press("Resume")
    assert wait_for(lambda: status_of(made, name)["phase"] == "Running")
    person.open(f"/runs/{name}")
    person.press("Cancel")
    assert wait_for(lambda: status_of(made, name)["phase"] == "Cancelled")


def test_an_empty_project_writes_a_template_and_runs_it(tmp_path):
    project = Project(tmp_path)
    project.fairway("up")
    try:
        person = Person(tmp_path / ".fairway")
        person.open("/runs")
        assert "No runs yet" in person.page.text
        person.press("Start a run")
        assert "fairway init" in person.page.text
        person.press("Write project.py and run it")
        assert re.match(r"/runs/\w+$", person.where), person.page.text
        name = person.where.rpartition("/")[2]
        assert wait_for(lambda: status_of(project, name)["phase"] == "Succeeded")
        assert "Hello, world" in person.open(f"/runs/{name}").text
        person.open("/new")
        person.press("Write project.py and run it")
        assert person.status == 400
        assert "exists already" in person.page.text
        person.client.close()
    finally:
        project.fairway("down")
