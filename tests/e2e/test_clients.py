"""The standard clients of the Open Inference Protocol against real workers, each in an environment of its own."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from standard_clients import asked
from workers import Server, stored

onnx = pytest.importorskip("onnx")
linear_model = pytest.importorskip("sklearn.linear_model")
pytest.importorskip("onnxruntime")

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1", "INT16": "i2",
    "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8", "BYTES": object,
}  # fmt: skip
KINDS = {"FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "BYTES": "STRING"}


def every_datatype() -> tuple[Any, pd.DataFrame]:
    """A model that gives back an input of every datatype, and a sample for it."""
    given, made, nodes = [], [], []
    for datatype in DTYPES:
        kind = getattr(onnx.TensorProto, KINDS.get(datatype, datatype))
        name = datatype.lower()
        given.append(onnx.helper.make_tensor_value_info(name, kind, ["rows"]))
        made.append(onnx.helper.make_tensor_value_info(f"same_{name}", kind, ["rows"]))
        nodes.append(onnx.helper.make_node("Identity", [name], [f"same_{name}"]))
    graph = onnx.helper.make_graph(nodes, "every", given, made)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    columns = {
        name.lower(): np.array(["a", "é"] if name == "BYTES" else [0, 1], dtype=dtype)
        for name, dtype in DTYPES.items()
    }
    return model, pd.DataFrame(columns)


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("every")
    made = Server(folder, stored(folder / "store", "every", *every_datatype()))
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model of a table that takes it as one tensor."""
    folder = tmp_path_factory.mktemp("rooms")
    data = pd.DataFrame({"rooms": np.arange(1.0, 9.0), "area": np.arange(1.0, 9.0) ** 2})
    model = linear_model.LinearRegression().fit(data, data.rooms * 10 + data.area * 2)
    made = Server(folder, stored(folder / "store", "rooms", model, data))
    made.start()
    yield made
    made.close()


def test_triton_s_clients_requests_and_httpx_are_understood(every: Server) -> None:
    told = asked("kserve", "ask_by_triton", f"127.0.0.1:{every.port}", f"localhost:{every.port}")
    assert told["live"] is told["ready"] is True
    assert told["models"] == [True, True, False, False]
    assert (told["server"], told["metadata"], len(told["config"])) == ("fairway", [13, 13], 13)
    assert told["index"] == [{"name": "every", "version": "1", "state": "READY", "reason": ""}]
    assert told["classes"].startswith("400: ")
    assert "classification is not offered" in told["classes"]
    assert "no state is kept" in told["sequence"]
    assert told["unknown"].startswith("404: unknown model 'nope'; this endpoint serves 'every'")
    assert told["statistics"] is told["aio ready"] is True
    assert [told[f"requests {how}"] for how in ("data", "json", "pieces", "name")] == [200] * 4
    assert [told[f"httpx {how}"] for how in ("content", "json")] == [200] * 2
    assert [told[f"requests {how}"] for how in ("form", "files")] == [415] * 2
    rest = {name: said for name, said in told.items() if name.startswith("binary")}
    assert len(rest) == 6
    assert all(said == ["r1"] for said in rest.values()), rest
    for name in (
        "gzip",
        "deflate",
        "bytes",
        "own",
        "later",
        "aio binary True",
        "aio binary False",
        "aio gzip",
    ):
        assert told[name] == [], name


def test_kserve_s_client_is_understood(every: Server) -> None:
    told = asked("kserve", "ask_by_kserve", f"127.0.0.1:{every.port}")
    assert told.pop("live") is told.pop("ready") is told.pop("model") is True
    assert told == {key: ["k1"] for key in ("True True", "True False", "False True", "False False")}


def test_what_mlserver_s_codecs_make_is_obeyed_or_refused(every: Server, rooms: Server) -> None:
    told = asked("mlserver", "ask_by_mlserver", str(every.port), str(rooms.port))
    assert told["numpy"] == [True] * 12
    assert told["text"] == ["a", "é"]
    assert told["base64"] == "the content_type 'base64' is not read"
    assert told["pandas"] == [12.0, 28.0]
    assert "'area'" in told["missing"]
