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

JSON_LENGTH = b"inference-header-content-length"
KINDS = {"<f4": "FP32", "<f8": "FP64", "<i8": "INT64"}


class Tensor(msgspec.Struct):
    """One input; its numbers follow the JSON where it has none."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float] = []


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
        body = b"".join(parts)
        size = next((int(value) for name, value in scope["headers"] if name == JSON_LENGTH), 0)
        if size:
            asked = decode(body[:size])
            array = np.frombuffer(body, "<f4", offset=size).astype(dtype, copy=False)
        else:
            asked = decode(body)
            array = np.array(asked.inputs[0].data, dtype=dtype)
        results = session.run(names, {given.name: array.reshape(asked.inputs[0].shape)})
        whole, headers = answer(asked.id, results, bool(size))
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [*headers, (b"content-length", b"%d" % len(whole))],
            }
        )
        await send({"type": "http.response.body", "body": whole})

    def answer(number: str, results: list[Any], binary: bool) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        outputs: list[dict[str, Any]] = [
            {"name": name, "shape": result.shape, "datatype": KINDS[result.dtype.str]}
            for name, result in zip(names, results, strict=True)
        ]
        for output, result in zip(outputs, results, strict=True):
            if binary:
                output["parameters"] = {"binary_data_size": result.nbytes}
            else:
                output["data"] = result.ravel().tolist()
        text = encode({"model_name": model, "id": number, "outputs": outputs})
        if not binary:
            return text, [(b"content-type", b"application/json")]
        told = [(b"content-type", b"application/octet-stream"), (JSON_LENGTH, b"%d" % len(text))]
        return b"".join([text, *(result.tobytes() for result in results)]), told

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
