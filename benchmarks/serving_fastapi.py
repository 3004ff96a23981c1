"""A model served by hand with FastAPI and ONNX Runtime, as its documentation teaches: typed body, typed answer.

`python serving_fastapi.py MODEL.onnx NAME PORT [HOST]`.
"""

import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Tensor(BaseModel):
    """One input or output."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Infer(BaseModel):
    """The request."""

    inputs: list[Tensor]
    id: str = ""


class Inferred(BaseModel):
    """The answer."""

    model_name: str
    id: str = ""
    outputs: list[Tensor]


def main(path: str, model: str, port: int, host: str = "127.0.0.1") -> None:
    """Serve."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    names = [value.name for value in session.get_outputs()]
    app = FastAPI()

    async def infer(asked: Infer) -> Inferred:
        tensor = asked.inputs[0]
        array = np.array(tensor.data, dtype=np.float32).reshape(tensor.shape)
        outputs = [
            Tensor(name=name, shape=list(result.shape), datatype="FP32", data=result.ravel().tolist())
            for name, result in zip(names, session.run(names, {given.name: array}), strict=True)
        ]
        return Inferred(model_name=model, id=asked.id, outputs=outputs)

    app.post(f"/v2/models/{model}/infer")(infer)
    uvicorn.run(app, host=host, port=port, loop="uvloop", http="httptools", access_log=False, log_config=None)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
