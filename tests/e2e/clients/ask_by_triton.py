"""Asks a server through Triton's HTTP clients, requests and httpx: `python ask_by_triton.py HOST:PORT [NAME:PORT]`.

It prints what came back. NAME is another name of the same server.
"""

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
import requests
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio

WHERE, NAMED = sys.argv[1], sys.argv[-1]
DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1", "INT16": "i2",
    "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8",
}  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False], "UINT8": [0, 255], "UINT16": [0, 65535], "UINT32": [0, 2**32 - 1], "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127], "INT16": [-(2**15), 2**15 - 1], "INT32": [-(2**31), 2**31 - 1], "INT64": [-(2**63), 2**63 - 1],
    "FP16": [0.5, -2.0], "FP32": [0.5, -2.0], "FP64": [0.1, 1e300], "BYTES": ["日本", ""],
}  # fmt: skip


def array(datatype: str) -> Any:
    return np.array(VALUES[datatype], dtype=DTYPES.get(datatype, object))


def inputs(module: Any, binary: bool, text: str = "") -> list[Any]:
    """One input of every datatype; FP16 is binary always, as the client wants it."""
    made = []
    for datatype in VALUES:
        given = array(datatype)
        if datatype == "BYTES" and text == "bytes":
            given = np.array([value.encode() for value in VALUES[datatype]], dtype=object)
        tensor = module.InferInput(datatype.lower(), [2], datatype)
        tensor.set_data_from_numpy(given, binary_data=binary or datatype == "FP16")
        made.append(tensor)
    return made


def outputs(module: Any, binary: bool) -> list[Any]:
    return [
        module.InferRequestedOutput(f"same_{datatype.lower()}", binary_data=binary) for datatype in VALUES
    ]


def differing(result: Any) -> list[str]:
    """Datatypes that did not come back as they were sent."""
    wrong = []
    for datatype in VALUES:
        found = result.as_numpy(f"same_{datatype.lower()}")
        if datatype == "BYTES":
            found = np.array([item.decode() if isinstance(item, bytes) else item for item in found], object)
        if (
            found is None
            or found.dtype != array(datatype).dtype
            or found.tolist() != array(datatype).tolist()
        ):
            wrong.append(datatype)
    return wrong


def tried(call: Any) -> str:
    try:
        return str(call())
    except triton.InferenceServerException as error:
        return f"{error.status()}: {error.message()}"


def sync() -> dict[str, Any]:
    client = triton.InferenceServerClient(WHERE)
    told: dict[str, Any] = {
        "live": client.is_server_live(), "ready": client.is_server_ready(),
        "models": [client.is_model_ready("every"), client.is_model_ready("every", "1"),
                   client.is_model_ready("every", "9"), client.is_model_ready("nope")],
        "server": client.get_server_metadata()["name"],
        "metadata": [len(client.get_model_metadata("every")[key]) for key in ("inputs", "outputs")],
        "config": sorted({one["data_type"] for one in client.get_model_config("every", "1")["input"]}),
        "index": client.get_model_repository_index(),
    }  # fmt: skip
    for binary in (True, False):
        for wanted in (None, outputs(triton, True), outputs(triton, False)):
            name = f"binary {binary}, outputs {None if wanted is None else wanted[0]._get_tensor()}"
            got = client.infer("every", inputs(triton, binary), outputs=wanted, request_id="r1")
            told[name] = [got.get_response()["id"], *differing(got)]
    for packing in ("gzip", "deflate"):
        got = client.infer("every", inputs(triton, True), model_version="1", request_compression_algorithm=packing,
                           response_compression_algorithm=packing)  # fmt: skip
        told[packing] = differing(got)
    told["bytes"] = differing(client.infer("every", inputs(triton, True, "bytes")))
    told["own"] = differing(
        client.infer("every", inputs(triton, True), parameters={"a": 1}, priority=1, timeout=10**6)
    )
    one = [triton.InferRequestedOutput("same_fp32", class_count=1)]
    told["classes"] = tried(lambda: client.infer("every", inputs(triton, True), outputs=one))
    told["sequence"] = tried(
        lambda: client.infer("every", inputs(triton, True), sequence_id=1, sequence_start=True)
    )
    told["unknown"] = tried(lambda: client.infer("nope", inputs(triton, True)))
    told["later"] = differing(client.async_infer("every", inputs(triton, True)).get_result())
    counted = client.get_inference_statistics("every")["model_stats"][0]
    told["statistics"] = counted["inference_stats"]["success"]["count"] > 0 and counted["inference_count"] > 0
    return told


async def later() -> dict[str, Any]:
    async with triton_aio.InferenceServerClient(WHERE) as client:
        told: dict[str, Any] = {}
        for binary in (True, False):
            got = await client.infer(
                "every", inputs(triton_aio, binary), outputs=outputs(triton_aio, not binary)
            )
            told[f"aio binary {binary}"] = differing(got)
        got = await client.infer(
            "every", inputs(triton_aio, True), request_compression_algorithm="gzip",
            response_compression_algorithm="gzip",
        )  # fmt: skip
        told["aio gzip"] = differing(got)
        told["aio ready"] = await client.is_model_ready("every")
        return told


def plain() -> dict[str, int]:
    row = {datatype.lower(): VALUES[datatype][0] for datatype in VALUES}
    text, url = json.dumps(row), f"http://{WHERE}/"
    return {
        "requests data": requests.post(url, data=text).status_code,
        "requests json": requests.post(url, json=row).status_code,
        "requests form": requests.post(url, data={"a": 1}).status_code,
        "requests files": requests.post(url, files={"f": text.encode()}).status_code,
        "requests pieces": requests.post(url, data=iter([text[:9].encode(), text[9:].encode()])).status_code,
        "requests name": requests.post(f"http://{NAMED}/", json=row).status_code,
        "httpx content": httpx.post(url, content=text).status_code,
        "httpx json": httpx.post(url, json=row).status_code,
    }


print(json.dumps({**sync(), **asyncio.run(later()), **plain()}))
