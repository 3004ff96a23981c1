"""Asks a server through KServe's REST client: `python ask_by_kserve.py HOST:PORT` prints what came back as JSON."""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

WHERE = f"http://{sys.argv[1]}"
DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1", "INT16": "i2",
    "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8", "BYTES": object,
}  # fmt: skip


def inputs(binary: bool) -> list[Any]:
    made = []
    for datatype, dtype in DTYPES.items():
        given = np.array(["a", "é"] if datatype == "BYTES" else [1, 0], dtype=dtype)
        tensor = InferInput(datatype.lower(), [2], datatype)
        tensor.set_data_from_numpy(given, binary_data=binary or datatype == "FP16")
        made.append(tensor)
    return made


def differing(answer: Any) -> list[str]:
    wrong = []
    for sent, got in zip(inputs(True), answer.outputs, strict=True):
        a, b = sent.as_numpy().tolist(), got.as_numpy().tolist()
        a, b = ([v.decode() if isinstance(v, bytes) else v for v in values] for values in (a, b))
        if a != b:
            wrong.append(sent.datatype)
    return wrong


async def main() -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
    told: dict[str, Any] = {
        "live": await client.is_server_live(WHERE),
        "ready": await client.is_server_ready(WHERE),
        "model": await client.is_model_ready(WHERE, "every"),
    }
    for binary in (True, False):
        for wanted in (True, False):
            request = InferRequest("every", inputs(binary), request_id="k1")
            if wanted:
                request.request_outputs = [
                    RequestedOutput(f"same_{datatype.lower()}", {"binary_data": True}) for datatype in DTYPES
                ]
            answer = await client.infer(WHERE, request, model_name="every")
            told[f"{binary} {wanted}"] = [answer.id, *differing(answer)]
    await client.close()
    return told


print(json.dumps(asyncio.run(main())))
