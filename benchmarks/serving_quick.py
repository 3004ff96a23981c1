"""The model server against a bare handler: `python benchmarks/serving_quick.py [--rounds 5] [--seconds 1.5]`.

Both serve the same small ONNX model over the Open Inference Protocol from one process on one core, in turns, to the same
32 clients on keep-alive connections. The bare handler is the least that uvicorn, msgspec and ONNX Runtime can do: no
gate, no check, no metric, no batch. Only the ratio means something; the machine's speed does not.
"""

import argparse
import asyncio
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FEATURES = 10
_HEAD = "HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"


def make_store(root: Path) -> dict[str, Any]:
    """A store with one small model as it is registered; returns its version as JSON."""
    import msgspec
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression

    from fairway import formats
    from fairway.spec.artifact import Artifact
    from fairway.spec.model import Candidate, Lineage, ModelVersion
    from fairway.stores import FileArtifacts

    data, target = load_breast_cancer(return_X_y=True)
    data = data[:, :_FEATURES].astype("float32")
    model = LogisticRegression(max_iter=200).fit(data, target)
    package = formats.package_model(model, data[:32])
    assert package.compiled is not None, package.note
    store = FileArtifacts(root)

    def put(kind: str, content: bytes) -> Artifact:
        return Artifact(format=kind, digest=store.put_bytes(content), size=len(content))

    onnx = put("onnx", package.compiled)
    candidate = Candidate(
        name="cancer",
        artifact=onnx,
        compiled=onnx,
        signature=package.signature,
        samples=put("samples", package.samples),
        sample_rows=package.rows,
    )
    version = ModelVersion(name="cancer", version=1, candidate=candidate, lineage=Lineage(run="r", step="s"))
    return msgspec.to_builtins(version)


def bare(model: str, fd: int) -> None:
    """Serve a model with as little as possible."""
    import msgspec
    import numpy as np
    import onnxruntime as ort
    import uvicorn

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(Path(model).read_bytes(), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    names = [made.name for made in session.get_outputs()]

    class Tensor(msgspec.Struct):
        name: str
        shape: list[int]
        datatype: str
        data: list[float]

    class Infer(msgspec.Struct):
        inputs: list[Tensor]

    decode, encode = msgspec.json.Decoder(Infer).decode, msgspec.json.Encoder().encode
    kinds = {"int64": "INT64", "float32": "FP32", "float64": "FP64"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        tensor = decode(body).inputs[0]
        array = np.array(tensor.data, dtype=np.float32).reshape(tensor.shape)
        results = session.run(names, {given.name: array})
        outputs = [
            {
                "name": name,
                "shape": made.shape,
                "datatype": kinds[made.dtype.name],
                "data": made.ravel().tolist(),
            }
            for name, made in zip(names, results, strict=True)
        ]
        answer = encode({"model_name": "cancer", "model_version": "1", "outputs": outputs})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    asyncio.run(
        uvicorn.Server(config).serve(sockets=[socket.socket(fileno=fd)]),
        loop_factory=config.get_loop_factory(),
    ) if sys.version_info >= (3, 12) else uvicorn.Server(config).run(sockets=[socket.socket(fileno=fd)])


class Client:
    """One connection that asks again as soon as it was answered."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = request
        self.begun = 0.0

    def ask(self) -> None:
        self.begun = time.perf_counter()
        self.socket.sendall(self.request)

    def answered(self) -> bool:
        """Read what came; whether it is the whole answer, which must be a good one."""
        data = self.socket.recv(65536)
        while True:
            head, _, body = data.partition(b"\r\n\r\n")
            if body and len(body) >= int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
                assert data.startswith(b"HTTP/1.1 200"), data[:300]
                return True
            more = self.socket.recv(65536)
            assert more, data[:300]
            data += more


def load(port: int, request: bytes, clients: int, seconds: float) -> tuple[float, float]:
    """Requests a second, and the median time of one."""
    selector = selectors.DefaultSelector()
    all_clients = [Client(port, request) for _ in range(clients)]
    for client in all_clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.ask()
    times: list[float] = []
    begun = time.perf_counter()
    end = begun + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1.0):
            if key.data.answered():
                times.append(time.perf_counter() - key.data.begun)
                key.data.ask()
    spent = time.perf_counter() - begun
    for client in all_clients:
        client.socket.close()
    return len(times) / spent, statistics.median(times)


@contextmanager
def serving(command: list[str]) -> Iterator[int]:
    """A server process on the first core; gives its port once it answers."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    fd, port = listening.fileno(), int(listening.getsockname()[1])
    words = [word.replace("{fd}", str(fd)).replace("{port}", str(port)) for word in command]
    spec = Path(words[-3]) if words[-2] == "--fd" else None
    if spec is not None:
        spec.write_text(spec.read_text().replace("{port}", str(port)))
    process = subprocess.Popen(words, pass_fds=(fd,), preexec_fn=lambda: _pin(0))
    listening.close()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as probe:
            probe.sendall(f"GET /v2/models/cancer HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
            probe.recv(100)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def requests_for(port: int) -> dict[str, bytes]:
    """What the clients send, by name."""
    values = [round(0.37 * place + 11.0417, 4) for place in range(_FEATURES)]
    infer = {"inputs": [{"name": "input", "shape": [1, _FEATURES], "datatype": "FP32", "data": values}]}
    made: dict[str, bytes] = {}
    for name, path, content in (("infer", "/v2/models/cancer/infer", infer), ("rows", "/", [values])):
        body = json.dumps(content).encode()
        head = f"POST {path} {_HEAD.format(host=f'127.0.0.1:{port}')}content-length: {len(body)}\r\n\r\n"
        made[name] = head.encode() + body
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        version = make_store(root)
        onnx = root / "cancer.onnx"
        digest = version["candidate"]["artifact"]["digest"]
        onnx.write_bytes(next(path for path in root.rglob(digest[2:] + "*") if path.is_file()).read_bytes()
                         if not (found := list(root.rglob(f"*{digest}*"))) else found[0].read_bytes())  # fmt: skip
        spec = {
            "revision": {"endpoint": "cancer", "number": 1, "model": version},
            "store": str(root), "control": str(root / "c"), "metrics": str(root / "metrics"),
            "hosts": ["127.0.0.1:{port}"],
        }  # fmt: skip
        (root / "spec.json").write_text(json.dumps(spec))
        ours = [sys.executable, "-m", "fairway.server", str(root / "spec.json"), "--fd", "{fd}"]
        theirs = [sys.executable, __file__, "bare", str(onnx), "{fd}"]
        with serving(ours) as our_port, serving(theirs) as their_port:
            _pin(1)
            compare(our_port, their_port, options)


def compare(ours: int, theirs: int, options: argparse.Namespace) -> None:
    """Measure in turns and print."""
    for name, clients in (("infer", options.clients), ("infer", 1), ("rows", options.clients)):
        mine, bare_request = requests_for(ours)[name], requests_for(theirs)["infer"]
        rates: list[tuple[float, float]] = []
        medians: list[tuple[float, float]] = []
        for _ in range(options.rounds + 1):
            rate, median = load(ours, mine, clients, options.seconds)
            bare_rate, bare_median = load(theirs, bare_request, clients, options.seconds)
            rates.append((rate, bare_rate))
            medians.append((median, bare_median))
        rates, medians = rates[1:], medians[1:]
        ratio = statistics.median(mine / other for mine, other in rates)
        delay = statistics.median(mine / other for mine, other in medians)
        print(
            f"{name:6} {clients:3} clients   {statistics.median(r for r, _ in rates):7.0f}/s against "
            f"{statistics.median(r for _, r in rates):7.0f}/s bare   ratio {ratio:.2f}   "
            f"p50 {statistics.median(m for m, _ in medians) * 1e3:.3f} ms against "
            f"{statistics.median(m for _, m in medians) * 1e3:.3f} ms   ratio {delay:.2f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        bare(sys.argv[2], int(sys.argv[3]))
    else:
        main()
