from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fairway.formats import encode
from fairway.formats.onnx import check
from fairway.spec.errors import SerializationError


def model(
    domain: str = "", op: str = "Add", opsets: list[Any] | None = None, **changes: Any
) -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.ones(3, dtype=np.float32), "location")
    node = helper.make_node(op, ["x", "location"], ["y"], domain=domain)
    shape = ["rows", 3]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weights],
    )
    opsets = opsets or [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, **changes)


def external(tensor: Any) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    tensor.ClearField("raw_data")


def test_a_model_comes_back(trip: Callable[..., Any]) -> None:
    proto = model()
    assert trip(proto, "onnx") == proto
    assert encode(proto).note == "unknown producer, opset 17"


def test_weights_in_other_files_are_refused() -> None:
    proto = model()
    external(proto.graph.initializer[0])
    with pytest.raises(SerializationError, match="files beside it"):
        encode(proto)
    with pytest.raises(SerializationError, match="files beside it"):
        check(proto.SerializeToString())


def test_weights_in_other_files_are_found_in_subgraphs_and_attributes() -> None:
    inner = model().graph
    external(inner.initializer[0])
    proto = model()
    branch = helper.make_node("If", ["c"], ["z"])
    branch.attribute.append(helper.make_attribute("then_branch", inner))
    proto.graph.node.append(branch)
    with pytest.raises(SerializationError):
        check(proto.SerializeToString())
    tensor = numpy_helper.from_array(np.ones(2, dtype=np.float32), "t")
    external(tensor)
    proto = model()
    constant = helper.make_node("Constant", [], ["k"])
    constant.attribute.append(helper.make_attribute("value", tensor))
    proto.graph.node.append(constant)
    with pytest.raises(SerializationError):
        check(proto.SerializeToString())


def test_a_tensor_that_is_only_called_location_is_fine() -> None:
    check(model().SerializeToString())


@pytest.mark.parametrize("domain", ["evil.ops", "ai.onnx.training", "org.pytorch.aten", "ai.onnx.ml.x"])
def test_foreign_operators_are_refused(domain: str) -> None:
    with pytest.raises(SerializationError, match="not standard"):
        check(model(domain).SerializeToString())


def test_foreign_operators_of_functions_are_refused() -> None:
    proto = model()
    function = helper.make_function(
        "", "F", ["a"], ["b"], [helper.make_node("Abs", ["a"], ["b"])], [helper.make_opsetid("evil", 1)]
    )
    proto.functions.append(function)
    with pytest.raises(SerializationError, match="evil"):
        check(proto.SerializeToString())


@pytest.mark.parametrize("domain", ["ai.onnx.ml", "com.microsoft", "ai.onnx"])
def test_standard_operators_are_admitted(domain: str) -> None:
    check(model(domain).SerializeToString())


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff", b"not a model", b"\x3a\xff\xff\x03ab", b"\x08" + b"\xff" * 20]
)
def test_damaged_files_are_refused(data: bytes) -> None:
    with pytest.raises(SerializationError, match="not an ONNX model"):
        check(data)


def test_the_check_agrees_with_the_package_on_every_tensor(tmp_path: Path) -> None:
    proto = model()
    path = tmp_path / "m.onnx"
    onnx.save(proto, path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(SerializationError):
        check(path.read_bytes())
