"""Serving on this machine, by the real command line, with real processes."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from served import FUNCTIONS, PROJECT, Load, Project, connect, eventually, infer, trained_twice

from fairway.spec.model import Lineage, ModelVersion
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two versions of a model, made once."""
    return trained_twice(tmp_path_factory.mktemp("trained"), PROJECT)


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
    made = Project(folder)
    yield made
    made.fairway("down")
    assert made.workers() == made.platform() == []


def port_of(url: str) -> int:
    return int(url.split("/")[2].rpartition(":")[2])


def test_deploying_says_what_serves_and_where(project: Project) -> None:
    done = project.fairway("deploy", "churn")
    url = done.stdout.strip()
    lines = done.stderr.splitlines()
    assert lines[0].startswith("platform started at http://127.0.0.1:")
    assert lines[1:] == [
        "churn  revision 1  version 2, onnx, 2 replicas",
        "  samples reproduced 32/32",
    ]
    assert url == f"http://127.0.0.1:{port_of(url)}/v2/models/churn/infer"
    assert infer(connect(port_of(url))) == "2"
    assert len(project.workers()) == 2
    table = project.fairway("endpoints").stdout.splitlines()
    assert table[1].split() == ["churn", url, "1", "version", "2,", "onnx", "2/2", "running"]


def test_no_request_is_lost_by_an_update_a_rollback_and_a_scale_down(project: Project) -> None:
    url = project.json("deploy", "churn:1")["status"]["url"]
    with Load(port_of(url)) as load:
        eventually(lambda: load.versions.get("1", 0) > 20)
        answer = project.json("deploy", "churn:2")
        assert (answer["status"]["wanted"], answer["replaced"]) == (2, 1)
        eventually(lambda: load.versions.get("2", 0) > 20)
        seen_before = dict(load.versions)
        assert project.json("rollback", "churn")["status"]["wanted"] == 1
        eventually(lambda: load.versions["1"] > seen_before["1"] + 20)
        again = dict(load.versions)
        project.fairway("deploy", "churn:2", "--replicas", "1")
        eventually(lambda: load.versions["2"] > again["2"] + 20)
    assert load.failures == []
    assert len(project.workers()) == 1
    assert infer(connect(port_of(url))) == "2"


def test_a_killed_worker_is_replaced(project: Project) -> None:
    url = project.json("deploy", "churn")["status"]["url"]
    for _ in range(2):
        killed = project.workers()[0]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: len(project.workers()) == 2 and killed not in project.workers())  # noqa: B023
        eventually(lambda: project.json("endpoints")[0]["ready"] == 2)
        assert infer(connect(port_of(url))) == "2"


def test_endpoints_answer_without_the_platform_and_are_adopted_when_it_is_back(project: Project) -> None:
    url = project.json("deploy", "churn:1")["status"]["url"]
    workers = project.workers()
    with Load(port_of(url), clients=2) as load:
        for pid in project.platform():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: project.platform() == [])
        (alone,) = project.json("endpoints")
        assert (alone["phase"], alone["ready"], alone["url"], alone["runtime"]) == ("Running", 2, url, "onnx")
        assert alone["reason"] == "no platform process looks after it"
        answered = sum(load.versions.values())
        eventually(lambda: sum(load.versions.values()) > answered + 20)
        project.fairway("up")
        assert project.workers() == workers
        (status,) = project.json("endpoints")
        assert (status["ready"], status["serving"], status["phase"]) == (2, 1, "Running")
        project.fairway("deploy", "churn:2")
    assert load.failures == []
    assert not set(workers) & set(project.workers())
    os.kill(project.workers()[0], signal.SIGKILL)
    eventually(lambda: project.json("endpoints")[0]["ready"] == 2)


def test_a_platform_killed_at_any_moment_of_a_deployment_settles_on_one_revision(project: Project) -> None:
    url = project.json("deploy", "churn:1")["status"]["url"]
    with Load(port_of(url), clients=1) as load:
        for delay in (0.15, 0.45, 0.75):
            pid = project.platform()[0]
            killer = threading.Timer(delay + 0.3, os.kill, (pid, signal.SIGKILL))
            killer.start()
            words = [sys.executable, "-m", "fairway", "deploy", "churn:2"]
            environment = {**os.environ, "FAIRWAY_HOME": str(project.root)}
            subprocess.run(words, env=environment, capture_output=True, timeout=240, check=False)
            killer.join()
            eventually(lambda: pid not in project.platform())  # noqa: B023
            project.fairway("up")
            eventually(lambda: settled(project))
            assert len(project.workers()) == 2
    assert load.failures == []


def settled(project: Project) -> bool:
    (status,) = project.json("endpoints")
    return status["ready"] == 2 and status["serving"] == status["wanted"] and len(project.workers()) == 2


def test_down_ends_all_and_up_brings_it_back_on_the_same_port(project: Project) -> None:
    url = project.json("deploy", "churn:1")["status"]["url"]
    project.fairway("deploy", "churn:2")
    project.fairway("down")
    assert project.workers() == project.platform() == []
    with pytest.raises(ConnectionRefusedError):
        connect(port_of(url))
    project.fairway("up")
    eventually(lambda: project.json("endpoints")[0]["ready"] == 2)
    assert infer(connect(port_of(url))) == "2"
    assert project.fairway("undeploy", "churn").stderr == "churn is removed\n"
    assert project.json("endpoints") == []
    assert project.workers() == []


def test_down_also_ends_what_a_killed_platform_left_behind(project: Project) -> None:
    project.fairway("deploy", "churn")
    os.kill(project.platform()[0], signal.SIGKILL)
    eventually(lambda: project.platform() == [])
    assert len(project.workers()) == 2
    project.fairway("down")
    assert project.workers() == project.platform() == []
    assert "nothing runs here" in project.fairway("down").stderr


def test_a_version_that_does_not_reproduce_its_samples_is_refused(project: Project) -> None:
    url = project.json("deploy", "churn")["status"]["url"]
    bad = register_bad(project.root)
    refused = project.fairway("deploy", "churn", code=1)
    assert "did not become ready" in refused.stderr
    assert f"churn version {bad.version} reproduced" in refused.stderr
    assert refused.stdout == ""
    (status,) = project.json("endpoints")
    assert (status["wanted"], status["ready"], status["reason"]) == (1, 2, "")
    assert infer(connect(port_of(url))) == "2"
    assert len(project.workers()) == 2
    assert project.fairway("rollback", "churn", code=4).stdout == ""


def register_bad(root: Path) -> ModelVersion:
    """A version whose samples are another version's."""
    with SqliteMetadata(Layout(root)) as metadata:
        good, other = metadata.versions("churn")[:2]
        candidate = msgspec.structs.replace(good.candidate, samples=other.candidate.samples)
        return metadata.register(candidate, Lineage(run="", step=""), lambda rival: None, ())


def test_functions_of_a_file_are_served_from_a_snapshot(project: Project) -> None:
    (project.folder / "functions.py").write_text(FUNCTIONS)
    (project.folder / "factors.py").write_text("FACTOR = 2\n")
    done = project.fairway("deploy", "functions.py")
    first, second = done.stdout.split()
    key = next(line.split(": ")[1] for line in done.stderr.splitlines() if "its key" in line)
    (project.folder / "factors.py").write_text("FACTOR = 100\n")
    assert post(first, b"4") == (200, b"8.0")
    assert post(second, b"[4]")[0] == 401
    assert post(second, b"[4]", authorization=f"Bearer {key}") == (200, b"[12.0]")
    project.fairway("deploy", "functions.py")
    assert post(first, b"4") == (200, b"400.0")
    assert post(second, b"[4]", authorization=f"Bearer {key}")[0] == 200
    alone = project.fairway("deploy", "functions.py:double")
    assert alone.stdout.split() == [first]
    assert "no endpoint 'nobody'" in project.fairway("deploy", "functions.py:nobody", code=2).stderr


def post(url: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(url), timeout=240)
    connection.request("POST", "/", body, {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_wrong_words_are_said_before_anything_starts(project: Project) -> None:
    for words, code in (
        (("deploy", "nobody"), 4),
        (("deploy", "churn:9"), 4),
        (("deploy", "churn@nobody"), 4),
        (("deploy", "nothing.py"), 4),
        (("deploy", "churn", "--replicas", "0"), 2),
        (("deploy", "churn.py"), 2),
    ):
        assert project.fairway(*words, code=code).stderr
    assert project.platform() == []


def test_a_port_in_use_is_said(project: Project, free_port: Callable[[], int]) -> None:
    port = str(free_port())
    with socket.create_server(("127.0.0.1", int(port))):
        refused = project.fairway("deploy", "churn", "--port", port, code=2)
    assert f"port {port} is in use" in refused.stderr
    assert "--port" in refused.stderr.splitlines()[-1]
    assert project.json("endpoints") == []
    answer = project.json("deploy", "churn", "--port", port)
    assert answer["status"]["port"] == int(port)


def test_a_setting_says_where_ports_begin(
    project: Project, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = free_port()
    monkeypatch.setenv("FAIRWAY_FIRST_PORT", "none")
    assert "FAIRWAY_FIRST_PORT" in project.fairway("up", code=2).stderr
    monkeypatch.setenv("FAIRWAY_FIRST_PORT", str(first))
    assert project.fairway("up").stdout == f"http://127.0.0.1:{first}\n"
    assert first < project.json("deploy", "churn")["status"]["port"] < first + 100


def test_an_endpoint_keeps_its_port_or_moves_when_asked(
    project: Project, free_port: Callable[[], int]
) -> None:
    port = free_port()
    assert project.json("deploy", "churn", "--port", str(port))["status"]["port"] == port
    kept = project.json("deploy", "churn:1", "--port", str(port))
    assert (kept["status"]["port"], kept["replaced"]) == (port, 1)
    other = free_port()
    with socket.create_server(("127.0.0.1", other)):
        assert "in use" in project.fairway("deploy", "churn", "--port", str(other), code=2).stderr
        assert infer(connect(port)) == "1"
    moved = project.json("deploy", "churn:2", "--port", str(other))
    assert (moved["status"]["port"], moved["replaced"]) == (other, 2)
    assert infer(connect(other)) == "2"
    with pytest.raises(ConnectionRefusedError):
        connect(port)
    os.kill(project.workers()[0], signal.SIGKILL)
    eventually(lambda: project.json("endpoints")[0]["ready"] == 2)
    assert project.json("rollback", "churn")["status"]["port"] == other
    project.fairway("down")
    project.fairway("up")
    eventually(lambda: project.json("endpoints")[0]["ready"] == 2)
    assert infer(connect(other)) == "1"
    second = project.json("deploy", "churn", "--name", "second", "--port", str(port))
    assert second["status"]["port"] == port
    assert (
        "belongs to endpoint second" in project.fairway("deploy", "churn", "--port", str(port), code=2).stderr
    )


def test_a_deployment_that_fails_moves_nothing_and_keeps_no_port(
    project: Project, free_port: Callable[[], int]
) -> None:
    port = project.json("deploy", "churn")["status"]["port"]
    register_bad(project.root)
    other = free_port()
    assert "reproduced" in project.fairway("deploy", "churn", "--port", str(other), code=1).stderr
    assert (
        "reproduced"
        in project.fairway("deploy", "churn", "--name", "new", "--port", str(other), code=1).stderr
    )
    (status,) = project.json("endpoints")
    assert (status["port"], status["ready"]) == (port, 2)
    assert (
        project.json("deploy", "churn:1", "--name", "third", "--port", str(other))["status"]["port"] == other
    )
    assert infer(connect(port)) == "2"


def test_a_stopped_platform_leaves_endpoints_and_an_interrupted_one_ends_them(project: Project) -> None:
    url = project.json("deploy", "churn")["status"]["url"]
    os.kill(project.platform()[0], signal.SIGTERM)
    eventually(lambda: project.platform() == [])
    assert infer(connect(port_of(url))) == "2"
    words = [sys.executable, "-m", "fairway", "up", "--foreground"]
    environment = {**os.environ, "FAIRWAY_HOME": str(project.root)}
    foreground = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    assert foreground.stdout is not None
    assert foreground.stdout.readline().startswith("http://127.0.0.1:")
    assert project.json("endpoints")[0]["ready"] == 2
    foreground.send_signal(signal.SIGINT)
    assert foreground.wait(240) == 0
    foreground.stdout.close()
    assert project.workers() == []


def test_a_script_deploys_too(project: Project) -> None:
    code = (
        "import fairway as fw; d = fw.deploy('churn@first', replicas=1); print(d.status.url, d.status.ready)"
    )
    project.fairway("models", "alias", "churn", "first", "1")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, timeout=240, check=True,
        env={**os.environ, "FAIRWAY_HOME": str(project.root)},
    )  # fmt: skip
    url, ready = done.stdout.split()
    assert (infer(connect(port_of(url))), ready) == ("1", "1")


def test_a_second_platform_process_is_refused(project: Project) -> None:
    project.fairway("up")
    assert "runs already" in project.fairway("up").stderr
    command = [sys.executable, "-m", "fairway.control", "--root", str(project.root)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert second.returncode == 2
    assert f"process id {project.platform()[0]}" in second.stderr
    assert "fairway down" in project.fairway("up", "--foreground", code=2).stderr
    assert len(project.platform()) == 1


def test_many_deployments_at_once_start_one_platform(project: Project) -> None:
    threads = [
        threading.Thread(target=project.fairway, args=("deploy", "churn", "--name", f"churn-{number}"))
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(project.platform()) == 1
    found = project.json("endpoints")
    assert [status["ready"] for status in found] == [2, 2, 2]
    assert len({status["port"] for status in found}) == 3


def test_the_api_needs_its_token_and_answers_about_everything(project: Project) -> None:
    project.fairway("deploy", "churn")
    assert project.api("GET", "/healthz", authorization="") == (200, {"live": True})
    assert project.api("GET", "/readyz", authorization="") == (200, {"ready": True})
    paths = ["/runs", "/models", "/models/churn", "/models/churn:1", "/endpoints", "/openapi.json"]
    for path in paths:
        assert project.api("GET", f"/api/v1{path}", authorization="Bearer wrong")[0] == 401
        assert project.api("GET", f"/api/v1{path}", host="evil.example")[0] == 403
        assert project.api("GET", f"/api/v1{path}", origin="http://evil.example")[0] == 403
        assert project.api("GET", f"/api/v1{path}")[0] == 200
    run = project.api("GET", "/api/v1/runs")[1][0]["name"]
    assert project.api("GET", f"/api/v1/runs/{run}")[1]["spec"]["name"] == run
    assert project.api("GET", f"/api/v1/runs/{run}/logs")[0] == 200
    assert project.api("GET", "/api/v1/runs/nobody")[0] == 404
    assert project.api("GET", "/api/v1/nothing", authorization="")[0] == 401
    assert project.api("GET", "/api/v1/nothing")[0] == 404
    assert project.api("POST", "/api/v1/deploy")[0] == 400


def test_the_platform_is_small_quick_and_idle(project: Project) -> None:
    project.fairway("deploy", "churn")
    (pid,) = project.platform()
    status = Path(f"/proc/{pid}/status").read_text()
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    assert resident < 80 * 1024
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    before = int(fields[11]) + int(fields[12])
    time.sleep(4)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(fields[11]) + int(fields[12]) - before) / os.sysconf("SC_CLK_TCK")
    assert used <= 4 * 0.02
