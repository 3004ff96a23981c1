"""What the templates register is served: a clustering's assignment and an agent's policy answer like any model."""

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")


def fairway(folder: Path, *words: str) -> str:
    environment = dict(os.environ)
    environment["FAIRWAY_HOME"] = str(folder / ".fairway")
    done = subprocess.run(
        [sys.executable, "-m", "fairway", *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def ask(port: int, method: str, path: str, value: object = None) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
    connection.request(method, path, json.dumps(value), {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(
    ("template", "file", "model", "needs"),
    [
        ("unsupervised", "wines.py", "wines", "sklearn"),
        ("reinforcement", "cartpole.py", "cartpole", "gymnasium"),
    ],
)
def test_a_template_is_served(tmp_path: Path, template: str, file: str, model: str, needs: str) -> None:
    pytest.importorskip(needs)
    fairway(tmp_path, "init", "--template", template)
    fairway(tmp_path, "run", file, "--quiet")
    try:
        status = json.loads(fairway(tmp_path, "deploy", model, "--replicas", "1", "--json"))["status"]
        reproduced, _, rows = status["samples"].partition("/")
        assert reproduced == rows != ""
        _, about = ask(status["port"], "GET", f"/v2/models/{model}")
        _, described = ask(status["port"], "GET", "/openapi.json")
        example = described["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["example"]  # type: ignore[index]
        code, answer = ask(status["port"], "POST", "/", example)
        assert code == 200, (answer, about)
        assert answer not in (None, [], {})
        code, answer = ask(
            status["port"], "POST", "/", [example, example] if not isinstance(example, list) else "no"
        )
        assert code in (200, 400)
        assert ask(status["port"], "POST", "/", {"nothing": 1})[0] == 400
    finally:
        fairway(tmp_path, "down")
