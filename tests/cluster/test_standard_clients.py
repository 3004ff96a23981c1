"""The standard clients of the Open Inference Protocol through the Service of an endpoint on a real cluster."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from person import Person
from teams import VISITORS

from e2e.standard_clients import asked
from lab.kubectl import Kubectl

pytest.importorskip("onnx")

PROJECT = """
import fairway as fw
import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1", "INT16": "i2",
    "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8", "BYTES": object,
}
KINDS = {"FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "BYTES": "STRING"}


@fw.task
def build() -> onnx.ModelProto:
    given, made, nodes = [], [], []
    for datatype in DTYPES:
        kind, name = getattr(TensorProto, KINDS.get(datatype, datatype)), datatype.lower()
        given.append(helper.make_tensor_value_info(name, kind, ["rows"]))
        made.append(helper.make_tensor_value_info(f"same_{name}", kind, ["rows"]))
        nodes.append(helper.make_node("Identity", [name], [f"same_{name}"]))
    graph = helper.make_graph(nodes, "every", given, made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@fw.task
def sample() -> pd.DataFrame:
    return pd.DataFrame({
        name.lower(): np.array(["a", "b"] if name == "BYTES" else [0, 1], dtype=dtype)
        for name, dtype in DTYPES.items()
    })


@fw.pipeline
def every() -> fw.ModelVersion:
    return fw.register("every", build(), sample=sample())
"""
ASK = """
import json, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=20) as answer:
    print(json.load(answer)["name"])
"""


@pytest.mark.thorough
@pytest.mark.timeout(1200, func_only=True)
def test_standard_clients_are_understood_through_the_service(
    kubectl: Kubectl, registry: str, make_namespace: Callable[..., str], tmp_path: Path
) -> None:
    name = make_namespace()
    person = Person(Path(kubectl.kubeconfig), name, tmp_path, "every")
    base = os.environ.get("FAIRWAY_LAB_BASE", f"{registry}/python:3.11")
    where = ["--namespace", name, "--insecure", "--registry", registry, "--base", base, "--python", "3.11"]
    (tmp_path / "every").mkdir()
    (tmp_path / "every" / "every.py").write_text(PROJECT)
    person.does("install", *where, "--ephemeral")
    person.does("target", "add", "team", "--namespace", name)
    ran = person.run("run", "every.py", "--target", "team", seconds=500)
    assert ran.returncode == 0, ran.stderr
    person.does("deploy", "every", "--target", "team")
    there = kubectl.inside(name)
    there.apply(VISITORS)
    address = f"{there.json('get', 'service', 'every')['spec']['clusterIP']}:80"
    told = asked("kserve", "ask_by_triton", address)
    assert told["live"] is told["ready"] is told["statistics"] is told["aio ready"] is True
    assert told["models"] == [True, True, False, False]
    every = [said for key, said in told.items() if key.startswith("binary")]
    assert every == [["r1"]] * 6
    assert [told[key] for key in ("gzip", "deflate", "bytes", "later", "aio gzip")] == [[]] * 5
    told = asked("kserve", "ask_by_kserve", address)
    assert told.pop("live") is told.pop("ready") is told.pop("model") is True
    assert list(told.values()) == [["k1"]] * 4
    # A pod of the namespace finds the endpoint by its name.
    image = there.json("get", "deployment", "fairway")["spec"]["template"]["spec"]["containers"][0]["image"]
    there.apply(visitor(image, f"http://every.{name}.svc/v2/models/every"))
    there("wait", "pod/visitor", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s")
    assert there("logs", "visitor").strip() == "every"


def visitor(image: str, url: str) -> dict[str, Any]:
    """Return a pod that asks for the name of a model."""
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "visitor"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "command": ["python3", "-c", ASK, url],
                    "securityContext": secure,
                }
            ],
        },
    }
