"""Where the time of one infer request goes, stage by stage, inside one process: `python serving_stages.py FOLDER`.

Each stage is the product's own function on the arguments that it gets in a request. "application" is all of them together
as uvicorn calls it, so what a served request costs beyond it is uvicorn's, the loop's and the kernel's.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()

import msgspec
import numpy as np
import uvloop

from fairway import formats
from fairway.server import tensors
from fairway.server.app import Application
from fairway.server.gate import Gate
from fairway.server.metrics import Metrics
from fairway.server.models import ModelService
from fairway.server.protocol import WHOLE
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.model import ModelVersion
from fairway.stores import FileArtifacts

_ROUNDS, _CALLS = 7, 2000
NAME = "small"


def quickest(call: Callable[[], object]) -> float:
    """Microseconds of a call: the best of some rounds, which others on the machine disturbed least."""
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        for _ in range(_CALLS):
            call()
        best = min(best, time.perf_counter() - begun)
    return 1e6 * best / _CALLS


def main(folder: Path) -> dict[str, float]:
    """Microseconds by stage."""
    version = msgspec.json.decode((folder / f"{NAME}.json").read_bytes(), type=ModelVersion)
    revision = RevisionSpec(endpoint=NAME, number=1, model=version)
    store = FileArtifacts(folder / "store")
    metrics = Metrics(NAME, "1")
    predictor = formats.load_predictor(version, store.open)
    wanted = tensors.wanted_of(predictor.signature)
    rows = np.load(folder / f"{NAME}.npy")[:1]
    tensor = {
        "name": "input", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist(),
    }  # fmt: skip
    body = json.dumps({"inputs": [tensor]}).encode()
    asked, binary = tensors.decode(body, b"")
    inputs = tensors.inputs_of(asked, binary, wanted)
    outputs = predictor.predict(inputs)
    answer = tensors.answer(asked, outputs, predictor, NAME, "1")
    headers = [
        (b"host", b"127.0.0.1:80"), (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]  # fmt: skip
    gate = Gate(["127.0.0.1:80"], "")
    stages = {
        "gate": quickest(lambda: gate.check(headers, "open")),
        "decode the JSON": quickest(lambda: tensors.decode(body, b"")),
        "inputs, checked": quickest(lambda: tensors.inputs_of(asked, binary, wanted)),
        "the model": quickest(lambda: predictor.predict(inputs)),
        "encode the answer": quickest(lambda: tensors.answer(asked, outputs, predictor, NAME, "1")),
        "write its head": quickest(answer.head),
    }

    async def whole() -> float:
        service = ModelService(revision, store, metrics, lambda: 1)
        application = Application(service, gate, metrics, revision.limits)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(*_: object) -> None:
            return

        path = f"/v2/models/{NAME}/infer"
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers,
            "extensions": {WHOLE: send},
        }  # fmt: skip
        best = float("inf")
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            for _ in range(_CALLS):
                await application(scope, receive, send)
            best = min(best, time.perf_counter() - begun)
        metrics.text()
        return 1e6 * best / _CALLS

    stages["application"] = uvloop.run(whole())
    stages["application, the rest"] = stages["application"] - sum(
        value for name, value in stages.items() if name != "application"
    )
    return stages


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
