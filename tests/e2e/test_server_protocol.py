"""One worker of the model server over HTTP: the protocol, the gate, what bad requests get, and swaps under load."""

import http.client
import json
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workers import Server, stored

from fairway.spec.model import ModelVersion

linear_model = pytest.importorskip("sklearn.linear_model")
pytest.importorskip("onnxruntime")

JSON = {"Content-Type": "application/json"}


def a_version(root: Path) -> ModelVersion:
    """A small classifier of three numbers, stored and compiled."""
    data = np.random.default_rng(0).normal(size=(80, 3))
    model = linear_model.LogisticRegression().fit(data, (data[:, 0] > 0).astype(int))
    return stored(root, "toy", model, data[:8])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("s")
    made = Server(folder, a_version(folder / "store"))
    made.start()
    yield made
    made.close()


def infer_body(rows: int = 1, **changes: Any) -> bytes:
    """A request of the Open Inference Protocol."""
    tensor = {"name": "input", "shape": [rows, 3], "datatype": "FP64", "data": [0.5] * 3 * rows, **changes}
    return json.dumps({"id": "7", "inputs": [tensor]}).encode()


def test_json_and_binary_give_the_same_answer(server: Server) -> None:
    status, content, _ = server.ask("/v2/models/toy/infer", infer_body(2), JSON)
    answer = json.loads(content)
    assert (status, answer["id"], answer["model_name"], answer["model_version"]) == (200, "7", "toy", "1")
    expected = next(output for output in answer["outputs"] if output["name"] == "probabilities")
    head = json.dumps(
        {
            "inputs": [
                {"name": "input", "shape": [2, 3], "datatype": "FP64", "parameters": {"binary_data_size": 48}}
            ],
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
        }
    ).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    status, content, got = server.ask("/v2/models/toy/infer", head + struct.pack("<6d", *[0.5] * 6), headers)
    assert status == 200
    length = int(got["inference-header-content-length"])
    output = json.loads(content[:length])["outputs"][0]
    dtype = {"FP32": "<f4", "FP64": "<f8"}[output["datatype"]]
    assert np.frombuffer(content[length:], dtype).tolist() == pytest.approx(expected["data"], rel=1e-6)
    del headers["Content-Type"]
    assert server.ask("/v2/models/toy/infer", head + struct.pack("<6d", *[0.5] * 6), headers)[1] == content
    assert server.ask("/v2/models/toy/infer", infer_body(2), {})[0] == 200


def test_rows_metadata_health_and_metrics(server: Server) -> None:
    single = json.loads(server.ask("/", b"[0.5, 0.5, 0.5]", JSON)[1])
    many = json.loads(server.ask("/", b"[[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]", JSON)[1])
    assert many == [single, single]
    assert json.loads(server.ask("/v2/models/toy")[1])["inputs"][0]["shape"] == [-1, 3]
    for path in (
        "/livez",
        "/readyz",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/toy/versions/1/ready",
    ):
        assert server.ask(path)[0] == 200, path
    assert json.loads(server.ask("/openapi.json")[1])["openapi"].startswith("3.1")
    assert b'fairway_requests_total{code="200",endpoint="toy",route="predict"}' in server.ask("/metrics")[1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not a valid request"),
        (b"[" * 100_000, "not a valid request"),
        (b'{"inputs":[]}', "is missing"),
        (infer_body(shape=[1, 2]), "must have the shape [-1, 3]"),
        (infer_body(data=["a"] * 3), "is of type FP64"),
        (infer_body(data=[0.5, 0.5]), "2 values"),
        (infer_body(data=[None, 1, 1]), "is missing"),
        (infer_body(name="other"), "unknown input"),
        (infer_body(datatype="FP8"), "unknown datatype"),
        (infer_body(shape=[-1, 3]), "impossible shape"),
        (infer_body(shape=[10**12, 3]), "values"),
    ],
)
def test_a_bad_request_is_refused_by_name(server: Server, body: bytes, said: str) -> None:
    status, content, _ = server.ask("/v2/models/toy/infer", body, JSON)
    assert status == 400
    assert said in json.loads(content)["error"]


@pytest.mark.parametrize(
    ("path", "headers", "method", "status"),
    [
        ("/", {"Host": "evil.example"}, "GET", 403),
        ("/", {"Origin": "http://evil.example"}, "GET", 403),
        ("/livez", {"Sec-Fetch-Site": "cross-site"}, "GET", 403),
        ("/nothing", {}, "GET", 404),
        ("/livez/", {}, "GET", 200),
        ("/livez//", {}, "GET", 404),
        ("//livez", {}, "GET", 404),
        ("/%6civez", {}, "GET", 404),
        ("/LIVEZ", {}, "GET", 404),
        ("/livez", {}, "DELETE", 405),
        ("/livez", {}, "HEAD", 200),
        ("/", {"Content-Type": "text/plain"}, "POST", 415),
        ("/", {"Content-Type": "application/json", "Content-Length": str(10**12)}, "POST", 413),
    ],
)
def test_the_gate_and_the_routes_are_exact(
    server: Server, path: str, headers: dict[str, str], method: str, status: int
) -> None:
    assert server.ask(path, b"" if method == "POST" else None, headers, method)[0] == status


def test_swapping_workers_under_load_loses_no_request(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("w")
    server = Server(folder, a_version(folder / "store"))
    stop = threading.Event()
    answered, lost = [0], []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=240)
        while not stop.is_set():
            try:
                connection.request("POST", "/v2/models/toy/infer", infer_body(), JSON)
                answer = connection.getresponse()
                answer.read()
                answered[0] += 1
                if answer.status != 200:
                    lost.append(str(answer.status))
            except Exception as error:
                lost.append(repr(error))
                connection.close()
        connection.close()

    try:
        current = server.start()
        clients = [threading.Thread(target=client) for _ in range(6)]
        for each in clients:
            each.start()
        for _ in range(3):
            following = server.start()
            server.tell(current, "drain")
            assert server.workers[current].wait(timeout=240) == 0
            current = following
        stop.set()
        for each in clients:
            each.join()
    finally:
        stop.set()
        server.close()
    assert lost == []
    assert answered[0] > 100
