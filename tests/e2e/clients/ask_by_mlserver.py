"""Asks two workers with requests that MLServer's codecs make: `python ask_by_mlserver.py PORT TABLE_PORT` prints JSON."""

import json
import sys
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pandas as pd
from mlserver.codecs import Base64Codec, NumpyCodec, PandasCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput

DTYPES = (
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
)
NAMES = {"float16": "fp16", "float32": "fp32", "float64": "fp64"}


def ask(port: str, model: str, request: Any) -> Any:
    body = request.model_dump_json().encode()
    url = f"http://127.0.0.1:{port}/v2/models/{model}/infer"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, body, {"Content-Type": "application/json"})
        ) as answer:
            return InferenceResponse.model_validate_json(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["error"]


def single(texts: RequestInput) -> InferenceRequest:
    made = [NumpyCodec.encode_input(NAMES.get(dtype, dtype), np.array([1, 0], dtype)) for dtype in DTYPES]
    return InferenceRequest(inputs=[*made, texts])


got = ask(sys.argv[1], "every", single(StringCodec.encode_input("bytes", ["a", "é"])))
assert isinstance(got, InferenceResponse), got
told: dict[str, Any] = {
    "numpy": [NumpyCodec.decode_output(one).ravel().tolist() == [1, 0] for one in got.outputs[:-1]],
    "text": StringCodec.decode_output(got.outputs[-1]),
    "base64": ask(sys.argv[1], "every", single(Base64Codec.encode_input("bytes", [b"a", b"b"]))),
}
frame = pd.DataFrame({"area": [1.0, 4.0], "rooms": [1, 2]})
table = ask(sys.argv[2], "rooms", PandasCodec.encode_request(frame))
told["pandas"] = [round(value, 6) for value in table.outputs[0].data]
missing = ask(
    sys.argv[2], "rooms", PandasCodec.encode_request(pd.DataFrame({"area": [1.0, None], "rooms": [1.0, 2.0]}))
)
told["missing"] = missing
print(json.dumps(told))
