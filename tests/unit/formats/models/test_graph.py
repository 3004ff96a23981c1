"""The last changes to an ONNX graph."""

import itertools

from onnx import TensorProto, helper

from fairway.formats.models import graph


def test_the_order_in_which_a_converter_names_its_operator_sets_makes_no_difference() -> None:
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "drawn at random",
        [value("x", TensorProto.FLOAT, [None, 2])],
        [value("y", TensorProto.FLOAT, [None, 2])],
    )
    sets = [
        helper.make_opsetid("", 14),
        helper.make_opsetid("ai.onnx.ml", 1),
        helper.make_opsetid("com.microsoft", 1),
    ]
    finished = {
        graph.finish(helper.make_model(made, opset_imports=list(order)), ["prediction"])
        for order in itertools.permutations(sets)
    }
    assert len(finished) == 1
