"""Work and memory of a request grow with its size by a stated factor, whatever it holds; nothing is kept of it."""

import contextlib
import gzip
import json
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workers import Server, stored

linear_model = pytest.importorskip("sklearn.linear_model")
pytest.importorskip("onnxruntime")

SIZES = (250_000, 500_000, 1_000_000)
MEMORY_FACTOR = 60
"""Bytes that a worker needs for each byte of a request at most, beside `MEMORY_CONSTANT`."""

MEMORY_CONSTANT = 24 * 2**20
SECONDS_PER_MB = 2.0
"""CPU time for a megabyte of a request at most."""

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bounded")
    data = np.random.default_rng(0).normal(size=(80, 3))
    model = linear_model.LogisticRegression().fit(data, (data[:, 0] > 0).astype(int))
    made = Server(folder, stored(folder / "store", "toy", model, data[:8]))
    made.start()
    made.ask("/v2/models/toy/infer", tensor([0.5] * 300, 100), JSON)
    yield made
    made.close()


def tensor(data: list[Any], rows: int, **more: Any) -> bytes:
    given = {"name": "input", "shape": [rows, 3], "datatype": "FP64", "data": data}
    return json.dumps({"inputs": [given], **more}, separators=(",", ":")).encode()


def texts(size: int) -> list[str]:
    """One long text and many short ones: as an array of texts this would take a thousand times its size."""
    return ["x" * (size // 2), *["a"] * (size // 8)]


def outputs_of(size: int) -> bytes:
    rows = size // 12
    return tensor([1] * (rows * 3), rows, outputs=[{"name": "prediction"}] * (size // 46))


KINDS: dict[str, tuple[str, Callable[[int], bytes], tuple[int, ...]]] = {
    "numbers": ("infer", lambda size: tensor([1] * (size // 6 * 3), size // 6), (200,)),
    "nested numbers": ("infer", lambda size: tensor([[1, 2, 3]] * (size // 8), size // 8), (200,)),
    "texts for numbers": ("infer", lambda size: tensor(texts(size), 2), (400,)),
    "nested texts": ("infer", lambda size: tensor([[one] for one in texts(size)], 2), (400,)),
    "empty lists": ("infer", lambda size: tensor([[]] * (size // 3), 2), (400,)),
    "an output many times": ("infer", outputs_of, (400,)),
    "an input many times": (
        "infer",
        lambda size: json.dumps({"inputs": [json.loads(tensor([1, 2, 3], 1))["inputs"][0]] * (size // 70)}).encode(),
        (400,),
    ),
    "a long shape": (
        "infer",
        lambda size: tensor([1], 1).replace(b"[1,3]", b"[" + b"1," * (size // 2) + b"3]"),
        (400,),
    ),
    "a long name": ("infer", lambda size: tensor([1], 1).replace(b'"input"', b'"' + b"\\u0001" * (size // 6) + b'"'), (400,)),
    "rows": ("", lambda size: b"[" + b",".join([b"[1,2,3]"] * (size // 8)) + b"]", (200,)),
    "rows of texts": ("", lambda size: json.dumps([[one, "a", "a"] for one in texts(size)[: size // 16]]).encode(), (400,)),
    "rows of other keys": ("", lambda size: json.dumps([{f"k{number}": 1} for number in range(size // 14)]).encode(), (400,)),
    "texts as rows": ("", lambda size: json.dumps(texts(size)).encode(), (400,)),
    "a number of many digits": ("", lambda size: b"[" + b"1" * size + b",2,3]", (400,)),
    "brackets": ("", lambda size: b"[" * size, (400,)),
}  # fmt: skip


class Cost:
    """What a worker spent since it was made."""

    def __init__(self, server: Server) -> None:
        self._folder = Path(f"/proc/{server.workers[0].pid}")
        (self._folder / "clear_refs").write_text("5")  # the highest mark of memory begins anew
        self._memory = self._status("VmRSS")
        self._seconds = self._cpu()

    def memory(self) -> int:
        """Bytes more than at the start, at the highest mark."""
        return self._status("VmHWM") - self._memory

    def seconds(self) -> float:
        """CPU time."""
        return self._cpu() - self._seconds

    def _status(self, field: str) -> int:
        return int((self._folder / "status").read_text().split(field + ":")[1].split()[0]) * 1024

    def _cpu(self) -> float:
        return sum(int(path.read_text().split()[0]) for path in self._folder.glob("task/*/schedstat")) / 1e9


@pytest.mark.parametrize("kind", KINDS)
def test_work_and_memory_are_linear_in_the_size_of_a_request(worker: Server, kind: str) -> None:
    path, make, statuses = KINDS[kind]
    seen = []
    for size in SIZES:
        body = make(size)
        best = (float("inf"), 0)
        for _ in range(2):
            cost = Cost(worker)
            status, answer, _ = worker.ask("/v2/models/toy/infer" if path else "/", body, JSON)
            assert status in statuses, answer[:300]
            assert status == 200 or len(answer) < 3000
            best = min(best, (cost.seconds(), cost.memory()))
        seen.append((len(body), *best))
        assert best[1] <= MEMORY_FACTOR * len(body) + MEMORY_CONSTANT, seen
        assert best[0] <= SECONDS_PER_MB * len(body) / 1e6 + 0.1, seen
    (small, quick, _), _, (large, slow, _) = seen
    assert slow <= 3 * quick * large / small + 0.1, f"more than linear: {seen}"
    assert worker.workers[0].poll() is None


def test_a_compressed_bomb_costs_no_more_than_its_bound(worker: Server) -> None:
    for size in (2**22, 2**24, 2**26):
        cost = Cost(worker)
        status, answer, _ = worker.ask("/", gzip.compress(b" " * size), {"Content-Encoding": "gzip"})
        assert (status, b"unpacks to more" in answer) == (413, True)
        assert cost.memory() < 16 * 2**20


def test_trailers_without_end_are_not_kept(worker: Server) -> None:
    cost = Cost(worker)
    trailers = b"".join(b"x-%d: " % number + b"v" * 1000 + b"\r\n" for number in range(200))
    with socket.create_connection(("127.0.0.1", worker.port), 240) as line:
        line.sendall(
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n[1,2,3]\r\n0\r\n"
            % worker.port
        )
        with contextlib.suppress(OSError):
            for _ in range(300):
                line.sendall(trailers)
    assert cost.memory() < MEMORY_CONSTANT


def test_bodies_of_all_clients_together_are_bounded(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(80, 3))
    model = linear_model.LogisticRegression().fit(data, (data[:, 0] > 0).astype(int))
    server = Server(tmp_path, stored(tmp_path / "store", "toy", model, data[:8]))
    try:
        server.start(body=2**21)
        cost = Cost(server)
        lines = [half_a_body(server.port, 2**21) for _ in range(16)]
        refused = first_answers(lines, 10)
        assert len(refused) >= 10
        assert all(said.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in said for said in refused)
        assert cost.memory() < 40 * 2**20
        for line in lines:
            line.close()
        until = time.monotonic() + 120
        status = 0
        while status != 200 and time.monotonic() < until:
            status = server.ask("/", b"[" + b",".join([b"[1,2,3]"] * 100_000) + b"]", JSON)[0]
        assert status == 200, "what was given up is counted no longer"
    finally:
        server.close()


def half_a_body(port: int, size: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), 240)
    line.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n\r\n" % (port, size))
    with contextlib.suppress(OSError):
        line.sendall(b" " * (size - 10))
    return line


def first_answers(lines: list[socket.socket], wanted: int) -> list[bytes]:
    """What the first of them are told that are told anything."""
    found: list[bytes] = []
    until = time.monotonic() + 120
    waiting = list(lines)
    while len(found) < wanted and time.monotonic() < until:
        ready, _, _ = select.select(waiting, [], [], 1.0)
        for line in ready:
            waiting.remove(line)
            with contextlib.suppress(ConnectionError):
                found += [said] if (said := line.recv(4096)) else []
    return found


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: " + b"9" * 5000,
        b"Content-Length: " + b"0" * 5000 + b"7",
        b"Content-Length: 7\r\nInference-Header-Content-Length: " + b"0" * 5000 + b"7",
        b"Content-Length: 7\r\nInference-Header-Content-Length: " + b"9" * 5000,
    ],
)
def test_numbers_of_thousands_of_digits_are_refused(worker: Server, head: bytes) -> None:
    for path in (b"/", b"/v2/models/toy/infer", b"/v2/models/toy/versions/" + b"1" * 5000 + b"/infer"):
        with socket.create_connection(("127.0.0.1", worker.port), 240) as line:
            line.sendall(
                b"POST "
                + path
                + b" HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % worker.port
                + head
                + b"\r\n\r\n[1,2,3]"
            )
            assert line.recv(4096).split()[1] in (b"200", b"400", b"404", b"413")


def test_what_is_no_http_leaves_no_line_in_the_log(worker: Server) -> None:
    before = (worker.folder / "log").stat().st_size
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", worker.port), 240) as line:
            line.sendall(b"no http at all\r\n\r\n")
            assert line.recv(100).startswith(b"HTTP/1.1 400 ")
    for _ in range(50):
        worker.ask("/", b"[1,2,3]", {**JSON, "Connection": "upgrade", "Upgrade": "websocket"})
    assert (worker.folder / "log").stat().st_size == before


def test_a_worker_that_runs_out_of_memory_ends_the_request_alone(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(80, 3))
    model = linear_model.LogisticRegression().fit(data, (data[:, 0] > 0).astype(int))
    server = Server(tmp_path, stored(tmp_path / "store", "toy", model, data[:8]))
    try:
        server.start()
        pid = server.workers[0].pid
        size = int(Path(f"/proc/{pid}/status").read_text().split("VmSize:")[1].split()[0]) * 1024
        subprocess.run(["prlimit", f"--as={size + 96 * 2**20}", f"--pid={pid}"], check=True)
        body = b"[" + b"[],1e9," * 2_000_000 + b"0]"
        status, answer, _ = server.ask("/", body, JSON)
        assert status in (400, 503), answer[:200]
        assert server.ask("/", b"[1,2,3]", JSON)[0] == 200
        assert server.workers[0].poll() is None
    finally:
        server.close()
