"""Endpoints on a target from the command line: deployed, looked at, opened on this machine, rolled back and removed."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from projects import HEAD, Project, wait_for
from standin import ApiServer
from team_targets import backed, on_team

from fairway.spec.install import Install

MODEL = """
import numpy as np
from onnx import TensorProto, helper

@fw.task
def make(factor: float) -> bytes:
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 2])
    told = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [factor])
    graph = helper.make_graph([helper.make_node("Mul", ["input", "w"], ["y"])], "g", [given], [told], [weight])
    # Longer than what a record holds itself, so that there is something to fetch.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, doc_string="x" * 9000)

@fw.pipeline
def main(factor: float = 2.0) -> fw.ModelVersion:
    return fw.register("scale", make(factor), sample=np.ones((4, 2), np.float32))
""".replace("-> bytes", "-> object")
FUNCTIONS = """
from rates import RATE

@fw.endpoint(replicas=(1, 3))
def double(x: float) -> float:
    return x * RATE
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions of a model."""
    made = Project(tmp_path_factory.mktemp("made"))
    made.environment["FAIRWAY_HOME"] = str(made.folder / "store")
    made.write(MODEL)
    for factor in ("2.0", "3.0"):
        made.fairway("run", "project.py", "--factor", factor)
    return made.folder / "store"


@pytest.fixture
def cluster(tmp_path: Path, store: Path) -> Iterator[ApiServer]:
    """A cluster whose control plane is a platform process of this machine, and whose registry is down."""
    with backed(tmp_path / "cluster", store) as server:
        image = f"127.0.0.1:1/fairway@sha256:{'0' * 64}"
        server.install = Install(uid="0" * 32, namespace="ml", version="0.1.0", image=image).encode()
        yield server


@pytest.fixture
def project(tmp_path: Path, cluster: ApiServer) -> Project:
    return on_team(tmp_path / "shop", cluster)


def ask_team(project: Project, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    return project.fairway(*words, "--target", "team", expect=expect)


def status(project: Project, name: str) -> dict[str, Any]:
    found = json.loads(ask_team(project, "endpoints", "--json").stdout)
    return next(one for one in found if one["name"] == name)


def asked(url: str, rows: list[list[float]]) -> list[float]:
    inputs = [{"name": "input", "shape": [len(rows), 2], "datatype": "FP32", "data": rows}]
    with httpx2.Client(trust_env=False, timeout=30) as client:
        answer = client.post(url, json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"][0]["data"]


def test_a_model_is_deployed_rolled_back_and_removed_with_the_words_of_this_machine(project: Project) -> None:
    first = ask_team(project, "deploy", "scale:1", "--replicas", "1")
    assert "scale  revision 1  version 1, onnx, 1 replica\n" in first.stderr
    assert "samples reproduced 4/4" in first.stderr
    assert "`fairway endpoints --forward scale --target team` opens it on this machine" in first.stderr
    assert asked(first.stdout.strip(), [[1.0, 2.0]]) == [2.0, 4.0]
    second = ask_team(project, "deploy", "scale", "--replicas", "1")
    assert asked(second.stdout.strip(), [[1.0, 2.0]]) == [3.0, 6.0]
    listed = ask_team(project, "endpoints").stdout
    assert re.search(r"^scale +http://\S+ +2 +version 2, onnx +1/1 +running$", listed, re.MULTILINE), listed
    assert "scale  revision 1  version 1" in ask_team(project, "rollback", "scale").stderr
    assert "endpoint scale is as wanted: revision 1 answers" in ask_team(project, "why", "scale").stderr
    assert "scale is removed" in ask_team(project, "undeploy", "scale").stderr
    assert json.loads(ask_team(project, "endpoints", "--json").stdout) == []
    assert "there is no endpoint 'scale'" in ask_team(project, "why", "scale", expect=4).stderr


def test_where_nothing_can_be_pushed_the_servers_fetch_the_model_themselves(project: Project) -> None:
    told = ask_team(project, "deploy", "scale:1", "--replicas", "1").stderr
    assert "127.0.0.1:1" in told
    assert "the servers fetch their content from team instead" in told
    assert status(project, "scale")["revision"].get("image", "") == ""


def test_the_version_that_the_image_is_made_for_is_the_one_that_is_served(
    project: Project, cluster: ApiServer
) -> None:
    ask_team(project, "deploy", "scale", "--replicas", "1")
    (body,) = [one.body for one in cluster.plane.asked if one.path.startswith("/api/v1/deploy?")]
    assert json.loads(body)["model"] == "scale:2"


def test_the_functions_of_a_file_are_sent_and_served(project: Project) -> None:
    (project.folder / "src").mkdir()
    (project.folder / "pyproject.toml").write_text("[tool.fairway]\n")
    (project.folder / "src" / "serve.py").write_text(HEAD + FUNCTIONS)
    (project.folder / "src" / "rates.py").write_text("RATE = 2\n")
    done = ask_team(project, "deploy", "src/serve.py")
    assert "uploaded 3 files to team" in done.stderr
    assert "double  revision 1  function double, 1 replica of up to 3" in done.stderr
    with httpx2.Client(trust_env=False, timeout=30) as client:
        assert client.post(done.stdout.strip(), json=4.0).json() == 8.0
    assert "uploaded" not in ask_team(project, "deploy", "src/serve.py:double", "--replicas", "1").stderr
    assert (
        "declares no endpoint 'absent'" in ask_team(project, "deploy", "src/serve.py:absent", expect=2).stderr
    )


def test_what_has_no_meaning_on_a_cluster_is_refused(project: Project) -> None:
    told = ask_team(project, "deploy", "scale", "--port", "9000", expect=2).stderr
    assert "an endpoint on team has an address of its own" in told
    told = project.fairway("endpoints", "--forward", "scale", expect=2).stderr
    assert "endpoints of this machine have their ports here already" in told
    told = ask_team(project, "endpoints", "--forward", "absent", expect=4).stderr
    assert "there is no endpoint 'absent'" in told
    told = project.fairway("render", "scale", expect=2).stderr
    assert "name a cluster: `fairway render scale --target NAME`" in told
    assert "there is no endpoint 'absent'" in ask_team(project, "render", "absent", expect=4).stderr
    assert "--port goes with --forward" in ask_team(project, "endpoints", "--port", "9000", expect=2).stderr


def test_an_endpoint_is_opened_on_this_machine_until_ctrl_c(project: Project, cluster: ApiServer) -> None:
    port = int(
        ask_team(project, "deploy", "scale:1", "--replicas", "1").stdout.split("/")[2].rpartition(":")[2]
    )
    cluster.pods["scale"] = ["scale-a", "scale-b"]
    cluster.ports = {"scale-a": port, "scale-b": port}
    opened = subprocess.Popen(
        [sys.executable, "-m", "fairway", "endpoints", "--forward", "scale", "--target", "team"],
        cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert opened.stdout is not None
        url = opened.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v2/models/scale/infer", url)
        for _ in range(4):
            asked_here(url, port)
        used = {one.path.split("/")[-2] for one in cluster.asked if "/portforward" in one.path}
        assert {"scale-a", "scale-b"} <= used
        cluster.pods["scale"] = ["scale-b"]
        assert wait_for(lambda: asked_here(url, port), 30)
        opened.send_signal(signal.SIGINT)
        _, told = opened.communicate(timeout=60)
        assert opened.returncode == 0, told
        assert "scale on team answers here until Ctrl-C" in told
        assert "it goes on serving on team" in told
    finally:
        opened.kill()
        opened.wait()


def asked_here(url: str, port: int) -> bool:
    """Ask for the state of the model over a connection of its own, under a name that the server accepts."""
    ready = url.removesuffix("/infer") + "/ready"
    with httpx2.Client(trust_env=False, timeout=30) as client:
        return client.get(ready, headers={"host": f"127.0.0.1:{port}"}).status_code == 200


def test_what_the_servers_print_is_read_from_the_cluster(project: Project, cluster: ApiServer) -> None:
    ask_team(project, "deploy", "scale:1", "--replicas", "1")
    cluster.pods["scale"] = ["scale-a"]
    cluster.printed = "2026-01-01T00:00:00.1Z begun\n2026-01-01T00:00:00.2Z a line with words\n"
    assert ask_team(project, "logs", "scale").stdout.splitlines() == [
        "r1 scale-a | begun",
        "r1 scale-a | a line with words",
    ]
    line = json.loads(ask_team(project, "logs", "scale", "--json").stdout.splitlines()[1])
    assert (line["endpoint"], line["revision"], line["pod"], line["text"]) == (
        "scale",
        1,
        "scale-a",
        "a line with words",
    )


def test_a_script_deploys_on_a_target(project: Project) -> None:
    (project.folder / "ship.py").write_text(
        "import fairway as fw\n\n@fw.endpoint\ndef half(x: float) -> float:\n    return x / 2\n\n"
        "if __name__ == '__main__':\n"
        "    print(fw.deploy('scale:1', replicas=1, target='team').status.revision.model.version)\n"
        "    print(fw.deploy(half, replicas=(1, 2), target='team').status.url)\n"
    )
    done = subprocess.run(
        [sys.executable, "ship.py"], cwd=project.folder, env=project.environment, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    version, url = done.stdout.split()
    assert version == "1"
    with httpx2.Client(trust_env=False, timeout=30) as client:
        assert client.post(url, json=4.0).json() == 2.0
    assert status(project, "half")["revision"]["replicas"] == {"low": 1, "high": 2}


def test_new_lines_of_the_servers_are_followed(project: Project, cluster: ApiServer) -> None:
    ask_team(project, "deploy", "scale:1", "--replicas", "1")
    cluster.pods["scale"] = ["scale-a"]
    cluster.printed = "2026-01-01T00:00:00.1Z first\n"
    following = subprocess.Popen(
        project.command("logs", "scale", "--follow", "--target", "team"),
        cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert following.stdout is not None
        assert following.stdout.readline() == "r1 scale-a | first\n"
        # The cluster repeats the lines of the last second.
        cluster.printed += "2026-01-01T00:00:00.2Z second\n"
        assert following.stdout.readline() == "r1 scale-a | second\n"
        following.send_signal(signal.SIGINT)
        assert following.wait(timeout=60) == 130
    finally:
        following.kill()
        following.wait()


def test_a_deployment_goes_on_after_ctrl_c(project: Project, cluster: ApiServer) -> None:
    command = project.start("deploy", "scale:1", "--replicas", "1", "--target", "team")
    assert wait_for(lambda: any(one.path.startswith("/api/v1/deploy?") for one in cluster.plane.asked))
    command.send_signal(signal.SIGINT)
    _, told = command.communicate(timeout=60)
    assert command.returncode == 130, told
    assert "a deployment that team has begun goes on" in told
    assert "`fairway endpoints --target team` shows it" in told
    assert wait_for(lambda: status_or_none(project, "scale") == "Running")


def status_or_none(project: Project, name: str) -> str | None:
    listed = json.loads(ask_team(project, "endpoints", "--json").stdout)
    return next((one["phase"] for one in listed if one["name"] == name), None)


def test_the_answer_to_a_deployment_may_be_lost_and_it_is_deployed_once(
    project: Project, cluster: ApiServer
) -> None:
    cluster.plane.lost = 2
    ask_team(project, "deploy", "scale:1", "--replicas", "1")
    asked_for = [one for one in cluster.plane.asked if one.path.startswith("/api/v1/deploy?")]
    assert len(asked_for) >= 3
    assert status(project, "scale")["wanted"] == 1
