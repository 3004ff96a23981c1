"""The yardstick: the least that answers an infer request with a model: uvicorn, msgspec, ONNX Runtime and nothing else.

No gate, no metrics, no checks, no bounds, no batches. `python serving_bare.py MODEL.onnx NAME PORT`.
"""

import socket
import sys
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import uvicorn


class Tensor(msgspec.Struct):
    """One input."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Infer(msgspec.Struct):
    """The request."""

    inputs: list[Tensor]
    id: str = ""


def application(path: str, model: str) -> Any:
    """The ASGI callable for one model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    decode, encode = msgspec.json.Decoder(Infer).decode, msgspec.json.Encoder().encode
    given = session.get_inputs()[0]
    dtype = {"tensor(float)": np.float32, "tensor(double)": np.float64}[given.type]
    names = [value.name for value in session.get_outputs()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        parts = []
        while True:
            message = await receive()
            parts.append(message["body"])
            if not message["more_body"]:
                break
        asked = decode(b"".join(parts))
        tensor = asked.inputs[0]
        results = session.run(names, {given.name: np.array(tensor.data, dtype=dtype).reshape(tensor.shape)})
        outputs = [
            {"name": name, "shape": result.shape, "datatype": "FP32", "data": result.ravel().tolist()}
            for name, result in zip(names, results, strict=True)
        ]
        body = encode({"model_name": model, "id": asked.id, "outputs": outputs})
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(body)),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})

    return app


def main(path: str, model: str, port: int) -> None:
    """Serve."""
    listening = socket.create_server(("127.0.0.1", port), backlog=512)
    config = uvicorn.Config(
        application(path, model), loop="uvloop", http="httptools", ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, date_header=False,
        proxy_headers=False,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
