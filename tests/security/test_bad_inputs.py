"""Bad inputs over the wire: no crash, no answer of 500 or more, bounded memory, and good clients are still answered."""

import contextlib
import json
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

ROW = b"[0.5,-1.0,2.0]"
INFER = {
    "id": "a",
    "inputs": [{"name": "input", "shape": [2, 3], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]}],
}


class Client:
    """A keep-alive client that says what it got; 0 is a connection that was closed without an answer."""

    def __init__(self, port: int, token: str = "") -> None:
        self.port = port
        self.token = token
        self._line: HTTPConnection | None = None

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Content-Type", "application/json")
        if self.token:
            named["Authorization"] = f"Bearer {self.token}"
        try:
            if self._line is None:
                self._line = HTTPConnection("127.0.0.1", self.port, timeout=240)
            self._line.request(method, path, body, named)
            answer = self._line.getresponse()
            answer.read()
            return answer.status
        except (OSError, ValueError, HTTPException) as error:
            if isinstance(error, TimeoutError):
                raise
            if self._line is not None:
                self._line.close()
            self._line = None
            return 0


class Watch:
    """Memory of the platform and its workers, and whether they are the same processes still."""

    def __init__(self, live: Any) -> None:
        self.live = live
        self.pids = live.pids()
        self.before = self.memory()

    def memory(self) -> dict[str, int]:
        found = {}
        for name, pid in self.pids.items():
            status = Path(f"/proc/{pid}/status").read_text()
            found[name] = int(status.split("VmRSS:")[1].split()[0]) // 1024
        return found

    def crashes(self) -> int:
        """How many of the processes were started anew."""
        now = self.live.pids()
        return sum(now.get(name) != pid for name, pid in self.pids.items())

    def grown(self) -> int:
        """MiB more than at the start, of the process that grew most; fails when one is gone."""
        assert self.crashes() == 0, "a process was started anew"
        after = self.memory()
        return max(after[name] - self.before[name] for name in self.pids)


@pytest.fixture
def watch(live: Any) -> Watch:
    client = Client(live.model)
    for _ in range(200):
        assert client.ask("POST", "/", ROW) == 200
        assert client.ask("POST", "/v2/models/sums/infer", json.dumps(INFER).encode()) == 200
    return Watch(live)


def mutated(rng: random.Random, body: bytes) -> bytes:
    """A body with a few bytes, values or pieces changed."""
    made = bytearray(body)
    odd = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1", b"null", b"true", b'"x"', b"[]", b"{}", b"\x00", b"\xff",
           b"1" * 400, b"0.1" * 40, b"\\ud800", b'"\\ud800"', b"[[[[", b"}}", b",,", b"9223372036854775808", b"2" * 20,
           b'"BYTES"', b'"FP16"', b'"INT64"', b'"BOOL"', b'"shape":[-1,3]', b"[1099511627776,3]", b"[0,3]")  # fmt: skip
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        what = rng.random()
        if what < 0.3:
            made[at:at] = rng.choice(odd)
        elif what < 0.6:
            made[at : at + rng.randint(1, 8)] = rng.choice(odd)
        elif what < 0.75:
            del made[at : at + rng.randint(1, 30)]
        elif what < 0.9 and made:
            made[at % len(made)] = rng.randrange(256)
        else:
            other = rng.randrange(len(made) + 1)
            made[at:at] = made[other : other + rng.randint(1, 60)]
    return bytes(made)


def binary(rng: random.Random) -> tuple[bytes, str]:
    """A request of the binary extension whose sizes lie, and its header."""
    claimed = rng.choice([24, 0, 23, 25, -1, 2**31, 2**63, 2**64, 10**30, "24", None, 24.5])
    shape = rng.choice(
        [[2, 3], [2**40, 3], [-2, 3], [0, 3], [2**62, 2], [3], [], [2, 3, 1], [1.5, 3], "x", [2**64, 0]]
    )
    kind = rng.choice(["FP32", "BYTES", "FP64", "INT8", "BOOL", "FP16", "NONE", ""])
    tensor = {"name": "input", "shape": shape, "datatype": kind, "parameters": {"binary_data_size": claimed}}
    head = json.dumps({"inputs": [tensor] * rng.choice([1, 1, 1, 2, 50])}).encode()
    data = rng.choice(
        [struct.pack("<6f", *range(6)), b"", b"\xff" * 24, struct.pack("<I", 2**32 - 1) * 6, b"\0" * 23]
    )
    length = rng.choice(
        [str(len(head)), "0", "-1", str(len(head) + 1000), str(2**70), "x", "", str(len(head) - 3), "²"]
    )
    return head + data, length


def fuzzed(live: Any, count: int, seed: int) -> dict[int, int]:
    """How often each status came, over so many mutated bodies."""
    rng = random.Random(seed)
    model, private, platform = (
        Client(live.model),
        Client(live.private, live.key),
        Client(live.port, live.token),
    )
    deploy = json.dumps(
        {"name": "sums", "model": "nothing", "replicas": {"low": 2, "high": 2}, "limits": {"body": 1}}
    ).encode()
    seen: dict[int, int] = {}
    for number in range(count):
        which = rng.random()
        if which < 0.35:
            status = model.ask("POST", "/v2/models/sums/infer", mutated(rng, json.dumps(INFER).encode()))
        elif which < 0.6:
            status = model.ask(
                "POST", "/", mutated(rng, rng.choice([ROW, b"[" + ROW + b"]", b'{"rows":[' + ROW + b"]}"]))
            )
        elif which < 0.75:
            body, length = binary(rng)
            with contextlib.suppress(UnicodeEncodeError):
                status = model.ask("POST", "/v2/models/sums/infer", body, Content_Type="application/octet-stream",
                                   Inference_Header_Content_Length=length)  # fmt: skip
        elif which < 0.85:
            status = private.ask("POST", "/", mutated(rng, b'"some text"'))
        else:
            path = rng.choice(
                [
                    "/deploy",
                    "/endpoints/none/rollback",
                    "/endpoints/%2e%2e/rollback",
                    "/endpoints/%00/rollback",
                ]
            )
            status = platform.ask(
                "POST", "/api/v1" + path, mutated(rng, deploy if path == "/deploy" else b'{"revision": 1}')
            )
        seen[status] = seen.get(status, 0) + 1
        assert status < 500, f"number {number} of seed {seed}"
    return seen


def test_mutated_bodies_crash_nothing(live: Any, watch: Watch, full: bool, measured: Any) -> None:
    count, seed = (50_000 if full else 1_500), 20261124
    seen = fuzzed(live, count, seed)
    crashes, grown = watch.crashes(), watch.grown()
    failed = sum(number for status, number in seen.items() if status >= 500)
    assert (crashes, failed) == (0, 0)
    assert seen.get(400, 0) > count / 3
    assert seen.get(200, 0) > count / 100, "nothing got through to the model"
    assert grown <= 50, f"{grown} MiB"
    measured("T30", "Mutated bodies to model server, endpoint and platform", goal="0 crashes, 0 answers ≥ 500, ≤ 50 MB more",
             bodies=count, seed=seed, answers_500=failed, crashes=crashes, memory_mb=grown)  # fmt: skip


def raw(port: int, head: bytes, *pieces: bytes, pause: float = 0.0) -> int:
    """The status of what is sent as it is; 0 when the connection is closed without an answer."""
    with socket.create_connection(("127.0.0.1", port), 240) as line, contextlib.suppress(ConnectionError):
        line.sendall(head.replace(b"HOST", f"127.0.0.1:{port}".encode()))
        for piece in pieces:
            line.sendall(piece)
            time.sleep(pause)
        data = line.recv(4096)
        return int(data.split()[1]) if data else 0
    return 0


POST = b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"


def test_bombs_claims_and_floods_are_refused(live: Any, watch: Watch) -> None:
    for port, token in ((live.model, ""), (live.private, live.key), (live.port, live.token)):
        key = f"Authorization: Bearer {token}\r\n".encode() if token else b""
        path = b"/api/v1/deploy" if port == live.port else b"/"
        post = POST.replace(b"POST / ", b"POST " + path + b" ") + key
        for bomb in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 50_000 + b"]" * 50_000, b"[1," * 100_000):
            assert raw(port, post + b"Content-Length: %d\r\n\r\n" % len(bomb), bomb) == 400
        for claim in (b"1000000000", b"99999999999999999999", b"-1", b"1e3", b"0x10", b"1, 2"):
            assert raw(port, post + b"Content-Length: " + claim + b"\r\n\r\n") in (0, 400, 413)
        many = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 100) for number in range(2_000))
        assert raw(port, post + many + b"\r\n") in (0, 400, 431)
        assert raw(port, post + b"X: " + b"v" * 1_000_000 + b"\r\n\r\n") in (0, 400, 431)
        assert raw(port, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n") in (0, 400, 414)
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        flood = raw(port, post + b"Transfer-Encoding: chunked\r\n\r\n", *([chunk] * 1_100))
        assert flood in (0, 413)
        tiny = raw(port, post + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 100_000, b"0\r\n\r\n")
        assert tiny in (400, 413)
        both = post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        assert raw(port, both) in (0, 400)
        assert raw(port, post + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00") in (
            400,
            415,
        )
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01",
            b"\0" * 1000,
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\n",
        ):
            assert raw(port, garbage + b"\r\n\r\n") in (0, 400, 403, 404, 401, 505)
    assert watch.grown() <= 50


def slow(port: int, count: int) -> Iterator[socket.socket]:
    """Connections that begin a request and do not finish it."""
    for number in range(count):
        line = socket.create_connection(("127.0.0.1", port), 240)
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n".encode()
        line.sendall(head if number % 2 else head + b"Content-Length: 100000\r\n\r\n[")
        yield line


def test_slow_clients_hold_up_nobody(live: Any, watch: Watch, full: bool, measured: Any) -> None:
    count = 500 if full else 40
    good = Client(live.model)

    def p99() -> float:
        times = []
        for _ in range(500):
            begun = time.perf_counter()
            assert good.ask("POST", "/", ROW) == 200
            times.append(time.perf_counter() - begun)
        return sorted(times)[-5] * 1000

    quiet = p99()
    lines = list(slow(live.model, count))
    stop = threading.Event()

    def drip() -> None:
        while not stop.is_set():
            for line in lines:
                with contextlib.suppress(OSError):
                    line.send(b" ")
            time.sleep(0.5)

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        crowded = p99()
        if full:
            until = time.monotonic() + 90
            left = set(lines)
            while left and time.monotonic() < until:
                left -= {line for line in left if ended(line)}
                time.sleep(0.5)
            assert not left, f"{len(left)} slow clients were never sent away"
    finally:
        stop.set()
        dripping.join()
        for line in lines:
            line.close()
    grown = watch.grown()
    assert grown <= 50
    measured("T30b", "A good client beside slow ones", goal="p99 ≤ 2×, ≤ 50 MB more", slow_clients=count,
             p99_alone_ms=round(quiet, 2), p99_beside_ms=round(crowded, 2), ratio=round(crowded / quiet, 2),
             memory_mb=grown)  # fmt: skip


def ended(line: socket.socket) -> bool:
    """Whether the server has closed its side; what it said before is read away."""
    line.setblocking(False)
    try:
        return not line.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_server_that_fails_on_a_body_is_caught() -> None:
    """The harness against a server with a planted bug: 500 for a text it does not expect."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = listening.accept()
                reader = line.makefile("rb")
                head = iter(reader.readline, b"\r\n")
                sizes = [int(one[15:]) for one in head if one.lower().startswith(b"content-length:")]
                body = reader.read(sizes[0]) if sizes else b""
                status = b"500" if b"NaN" in body else b"400"
                line.sendall(b"HTTP/1.1 " + status + b" x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                line.close()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()

    class Broken:
        model = private = port
        token = key = "x"

    Broken.port = port
    with pytest.raises(AssertionError, match="seed 3"):
        fuzzed(Broken, 500, 3)
    listening.close()
