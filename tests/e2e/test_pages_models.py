"""Models and endpoints on the pages, over HTTP and without any script: looked at, deployed, tried and rolled back by a person."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from page_clicks import Person
from served import Load, Project, eventually, trained_twice

pytest.importorskip("onnxruntime")

PIPELINE = """
import fairway as fw
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

@fw.task
def prepare(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    data = pd.DataFrame(random.normal(size=(rows, 4)), columns=["age", "visits", "spent", "days"])
    return data.assign(left=(data.age + data.visits > 0).astype(int))

@fw.task
def train(data: pd.DataFrame, c: float) -> LogisticRegression:
    return LogisticRegression(C=c).fit(data.drop(columns="left"), data.left)

@fw.task
def judge(model: LogisticRegression, data: pd.DataFrame) -> fw.Evaluation:
    rows = data.drop(columns="left")
    return fw.evaluate(data.left, model.predict(rows), scores=model.predict_proba(rows))

@fw.pipeline
def churn(c: float = 1.0) -> fw.ModelVersion:
    "Predict which customers leave."
    data = prepare(200)
    model = train(data, c)
    return fw.register("churn", model, evaluation=judge(model, data), sample=data.drop(columns="left").head(8),
                       at_least={"accuracy": 0.5})
"""

FUNCTION = """
import fairway as fw

@fw.endpoint
def price(rooms: int, each: float) -> float:
    return rooms * each

@fw.endpoint
def other(x: int) -> int:
    return x
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two versions of a model, made once."""
    return trained_twice(tmp_path_factory.mktemp("trained"), PIPELINE)


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
    made = Project(folder)
    made.fairway("up")
    yield made
    made.fairway("down")
    assert made.workers() == made.platform() == []


class Within(Project):
    """A project whose store is the one of its folder, as it is for people who name no other."""

    def fairway(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "FAIRWAY_HOME"}
        command = [sys.executable, "-m", "fairway", *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture
def within(tmp_path: Path) -> Iterator[Project]:
    """A folder with a file and no runs yet."""
    folder = tmp_path / "within"
    folder.mkdir()
    (folder / "prices.py").write_text(FUNCTION)
    made = Within(folder)
    made.fairway("up")
    yield made
    made.fairway("down")


@pytest.fixture(scope="module")
def reader(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """A person who only looks, at a platform that all tests share that change nothing."""
    folder = tmp_path_factory.mktemp("looked") / "project"
    shutil.copytree(trained, folder)
    made = Project(folder)
    made.fairway("up")
    found = Person(made.root)
    yield found
    found.client.close()
    made.fairway("down")


def blob_of(project: Project) -> Path:
    """The file with the content of version 2 in its own format."""
    digest = project.json("models", "show", "churn:2")["candidate"]["artifact"]["digest"]
    (found,) = (path for path in (project.root / "blobs").rglob(f"*{digest[-40:]}") if path.is_file())
    found.chmod(0o600)
    return found


@pytest.fixture
def person(project: Project) -> Iterator[Person]:
    found = Person(project.root)
    yield found
    found.client.close()


def wait_until_done(person: Person, endpoint: str = "churn") -> str:
    """Load the page of an endpoint again until its change is over, and return its words."""
    eventually(lambda: "under way" not in person.open(f"/endpoints/{endpoint}").text)
    return person.page.text


def deploy(person: Person, version: int) -> None:
    person.open(f"/models/churn/{version}/deploy")
    person.press(f"Deploy version {version}")
    assert "done" in wait_until_done(person)


def test_the_newest_version_is_deployed_with_two_clicks_from_the_first_page(person: Person) -> None:
    person.open("/")
    person.press("Deploy version 2")
    assert "nothing yet → version 2" in person.page.text
    person.press("Deploy version 2")
    assert person.clicks == 2
    assert person.where == "/endpoints/churn"
    text = wait_until_done(person)
    assert "Deploying churn version 2" in text
    assert "reproduced 8/8 samples" in text
    assert "2/2" in text


def test_a_bad_version_is_rolled_back_with_two_clicks_and_no_request_is_lost(
    project: Project, person: Person
) -> None:
    deploy(person, 1)
    deploy(person, 2)
    (status,) = project.json("endpoints")
    with Load(status["port"]) as load:
        person.clicks = 0
        person.open("/")
        person.press("Roll back to churn version 1")
        assert "churn version 1 (revision 1), served until" in person.page.text
        person.press("Roll back to churn version 1")
        assert person.clicks == 2
        text = wait_until_done(person)
    assert "Rolling back to churn version 1 (revision 1)" in text
    assert load.failures == []
    assert set(load.versions) == {"1", "2"}
    assert project.json("endpoints")[0]["serving"] == 1


def test_what_serves_goes_on_while_a_deployment_fails_and_the_page_says_why(
    project: Project, person: Person
) -> None:
    deploy(person, 1)
    taken = project.json("endpoints")[0]["port"]
    blob_of(project).unlink()
    person.open("/models/churn/2/deploy")
    person.press("Deploy version 2")
    text = wait_until_done(person)
    assert "not done" in text
    assert "the content of churn version 2 is not in the store" in text
    assert project.json("endpoints")[0]["port"] == taken
    assert project.json("endpoints")[0]["serving"] == 1


def test_a_plan_that_is_out_of_date_changes_nothing(project: Project, person: Person) -> None:
    deploy(person, 1)
    person.open("/models/churn/1/deploy")
    project.fairway("deploy", "churn:2")
    person.press("Deploy version 1")
    assert person.status == 400
    assert "churn has changed since this plan was made" in person.page.text
    assert project.json("endpoints")[0]["revision"]["model"]["version"] == 2


def test_another_endpoint_gets_a_plan_of_its_own_first(project: Project, person: Person) -> None:
    deploy(person, 1)
    person.open("/models/churn/2/deploy")
    person.type(endpoint="second", replicas="1")
    person.press("Deploy version 2")
    assert "nothing yet → version 2" in person.page.text
    person.press("Deploy version 2")
    assert "1/1" in wait_until_done(person, "second")
    assert {one["name"]: one["workers"] for one in project.json("endpoints")} == {"churn": 2, "second": 1}


def test_a_version_shows_its_evaluation_gates_lineage_samples_and_files(reader: Person) -> None:
    text = reader.open("/models/churn/2").text
    for words in ("roc_auc", "accuracy", "at least 0.5", "passed", "train", "age", "→ prediction"):
        assert words in text
    assert reader.page.html.count("<svg") >= 4
    assert "Predict which customers leave" not in text  # it describes the pipeline, not the model
    assert [to for words, to in reader.page.links if words == "churn"] == ["/models/churn"]


def test_the_model_file_comes_as_a_download_with_the_digest_that_the_page_shows(reader: Person) -> None:
    page = reader.open("/models/churn/2")
    where = next(to for words, to in page.links if words == "churn-2.onnx")
    answer = reader.client.get(where)
    assert answer.headers["content-disposition"].startswith('attachment; filename="churn-2.onnx"')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert hashlib.sha256(answer.content).hexdigest() in page.html


def test_a_file_that_was_damaged_never_arrives_whole(project: Project, person: Person) -> None:
    page = person.open("/models/churn/2")
    where = next(to for words, to in page.links if words == "churn-2.skops")
    found = blob_of(project)
    content = bytearray(found.read_bytes())
    content[len(content) // 2] ^= 1
    found.write_bytes(content)
    with pytest.raises(httpx2.HTTPError):
        person.client.get(where)


def test_two_versions_are_compared_figures_first(reader: Person) -> None:
    reader.open("/models/churn/2")
    reader.press("Compare with version 1")
    text = reader.page.text
    assert "version 1 and version 2" in text
    assert "parameter c" in text
    assert text.index("Figures") < text.index("All that differs")


def test_an_alias_is_moved_by_a_form(project: Project, person: Person) -> None:
    person.open("/models/churn/1")
    person.press("Move")
    assert "champion" in person.open("/models").text
    assert project.json("models")[0]["aliases"] == {"champion": 1}


def test_an_endpoint_is_tried_with_a_sample_and_the_curl_line_gives_the_same(person: Person) -> None:
    deploy(person, 1)
    person.clicks = 0
    person.press("Try it")
    person.type(f0="2.5")
    person.press("Ask")
    assert person.clicks == 2
    assert "200" in person.page.text
    shown = person.page.html.partition('<pre tabindex="0">')[2].partition("</pre>")[0].replace("&#34;", '"')
    curl = person.page.html.partition('<div class="copyable"><pre tabindex="0">')[2].partition("</pre>")[0]
    command = curl.replace("&#39;", "'").replace("&#34;", '"').replace("&amp;", "&")
    assert '"age":2.5' in command
    done = subprocess.run(["sh", "-c", f"{command} --silent"], capture_output=True, text=True, timeout=60)
    assert msgspec.json.decode(done.stdout) == msgspec.json.decode(shown)


def test_a_wrong_value_is_explained_by_the_endpoint(person: Person) -> None:
    deploy(person, 1)
    person.open("/endpoints/churn/try")
    person.type(f0="many")
    person.press("Ask")
    assert "400" in person.page.text
    assert "field 'age' needs a number" in person.page.text


def test_replicas_are_changed_by_a_form(project: Project, person: Person) -> None:
    deploy(person, 1)
    person.type(replicas="1")
    person.press("Scale")
    assert "done" in wait_until_done(person)
    (status,) = project.json("endpoints")
    assert (status["workers"], status["ready"], len(project.workers())) == (1, 1, 1)


def test_an_endpoint_is_taken_away_only_if_its_name_is_typed(project: Project, person: Person) -> None:
    deploy(person, 1)
    person.press("Take away")
    person.type(typed="chorn")
    person.press("Take churn away")
    assert person.status == 400
    assert len(project.json("endpoints")) == 1
    person.open("/endpoints/churn/remove")
    person.type(typed="churn")
    person.press("Take churn away")
    assert "Nothing serves under this name" in wait_until_done(person)
    assert project.json("endpoints") == []
    assert "1 taken away" in person.open("/endpoints").text


def test_the_key_of_a_private_endpoint_is_shown_once(person: Person) -> None:
    person.open("/models/churn/1/deploy")
    person.type(private="on")
    person.press("Deploy version 1")
    wait_until_done(person)
    person.press("Its key, shown once")
    person.press("Show the key")
    key = person.page.html.partition("<pre>")[2].partition("</pre>")[0]
    assert len(key) > 30
    assert key not in person.open("/endpoints/churn").html
    person.open("/endpoints/churn/key")
    person.press("Show the key")
    assert person.status == 404
    person.open("/endpoints/churn/try")
    person.press("Ask")
    assert "401" in person.page.text
    person.type(key=key)
    person.press("Ask")
    assert "200" in person.page.text
    assert key not in person.page.html


def test_a_change_is_seen_live_until_it_is_over(person: Person) -> None:
    person.open("/models/churn/1/deploy")
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        with person.client.stream("GET", "/endpoints/churn/live") as stream:
            for line in stream.iter_lines():
                seen.append(line)
                if "done" in line:
                    over.set()
                    return

    person.press("Deploy version 1")
    thread = threading.Thread(target=watch)
    thread.start()
    assert over.wait(120)
    thread.join()
    assert any("under way" in line for line in seen)
    assert not any("<form" in line for line in seen)


def test_the_requests_of_an_endpoint_are_counted_and_kept_across_a_restart(
    project: Project, person: Person
) -> None:
    deploy(person, 1)
    address = project.json("endpoints")[0]["address"]
    for _ in range(20):
        assert (
            httpx2.post(f"{address}/", json={"age": 1, "visits": 2, "spent": 3, "days": 4}).status_code == 200
        )
    assert httpx2.post(f"{address}/", json={"age": "x"}).status_code == 400

    def counted() -> bool:
        traffic = person.client.get("/api/v1/endpoints/churn/traffic").json()
        return sum(one["counts"].get("requests", 0) for one in traffic["hour"]) == 21

    eventually(counted)
    text = person.open("/endpoints/churn/traffic").text
    assert "21 requests, 0 errors, 1 refused" in text
    assert "Requests a second" in text
    (platform,) = project.platform()
    person.client.close()
    subprocess.run(["kill", str(platform)], check=True)
    eventually(lambda: project.platform() == [])
    project.fairway("up")
    again = Person(project.root)
    assert "21 requests" in again.open("/endpoints/churn/traffic").text
    again.client.close()
    assert project.json("endpoints", "churn")["traffic"]["hour"]


def test_the_output_of_the_servers_is_shown(person: Person) -> None:
    deploy(person, 1)
    assert "Revision 1, server 1" in person.open("/endpoints/churn/output").text


@pytest.mark.parametrize(
    "path",
    [
        "/models/none", "/models/churn/9", "/models/churn/9/deploy", "/models/churn/x", "/models/churn/1/files/onnx/99",
        "/endpoints/none", "/endpoints/none/try", "/endpoints/none/traffic", "/endpoints/none/output",
        "/endpoints/none/rollback",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_a_page_that_says_so(reader: Person, path: str) -> None:
    reader.open(path)
    assert reader.status == 404
    assert "Not done" in reader.page.text


@pytest.mark.parametrize("part", ["..%2f..%2fstore.json", "..", "%00", "onnx%2f0", "x" * 3000])
def test_a_name_that_leads_elsewhere_is_no_file(reader: Person, part: str) -> None:
    assert reader.client.get(f"/models/churn/1/files/{part}/0").status_code in (404, 405)


def test_functions_of_a_project_file_are_deployed_and_tried(within: Project) -> None:
    project, person = within, Person(within.root)
    person.open("/endpoints")
    person.press("Deploy functions")
    person.press("Plan prices.py")
    assert "chosen when it starts" in person.page.text
    person.type(**{"take price": "on"})
    person.press("Deploy")
    assert "done" in wait_until_done(person, "price")
    assert [one["name"] for one in project.json("endpoints")] == ["price"]
    person.press("Try it")
    person.type(f0="3", f1="2.5")
    person.press("Ask")
    assert "7.5" in person.page.text


def test_a_file_outside_the_project_is_not_imported(within: Project) -> None:
    project, person = within, Person(within.root)
    outside = project.folder.parent / "outside.py"
    outside.write_text(f"import fairway\nopen({str(outside) + '.ran'!r}, 'w')  # endpoint\n")
    (project.folder / "link.py").symlink_to(outside)
    for file in ("../outside.py", str(outside), "link.py", "churn.py/../../outside.py"):
        answer = person.client.post("/functions/plan", data={"file": file})
        assert answer.status_code == 404, file
    assert not Path(f"{outside}.ran").exists()
