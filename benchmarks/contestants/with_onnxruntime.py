"""ONNX Runtime: inference alone, on as many threads as it is made with."""

import numpy as np

from contestants.work import Call, Work


def make(work: Work, threads: int = 1) -> dict[str, Call]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, last = [], [], "x"
    for i, w in enumerate(work.weights):
        constants += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(np.zeros_like(w[0]), f"b{i}")]
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"]))
        last = f"z{i}"
        if i < len(work.weights) - 1:
            nodes.append(helper.make_node("Relu", [last], [f"a{i}"]))
            last = f"a{i}"
    ends = (("x", work.widths[0]), (last, work.widths[-1]))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", n]) for name, n in ends)
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    row, many = {"x": work.rows(1)}, {"x": work.rows(10_000)}
    return {"row": lambda: session.run(None, row), "10000 rows": lambda: session.run(None, many)}
