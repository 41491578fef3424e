"""Models as ONNX files: the checker passes them, and their outputs in ONNX's evaluator and in onnxruntime are ours."""

import sys

import numpy as np
import pytest
from export_cases import MODELS, Doubling, bent, built, samples
from optional import optional

import fastnn
from fastnn import layers

onnx = optional("onnx")
RUNTIMES = ["onnx", "onnxruntime"]


class Evaluator:
    """ONNX's own evaluator behind as much of onnxruntime's interface as is used here."""

    def __init__(self, model):
        from onnx.reference import ReferenceEvaluator

        self.model, self.evaluator = model, ReferenceEvaluator(model)

    def get_inputs(self):
        return [Value(one) for one in self.model.graph.input]

    def get_outputs(self):
        return [Value(one) for one in self.model.graph.output]

    def run(self, outputs, given):
        with np.errstate(all="ignore"):
            return self.evaluator.run(outputs, given)


class Value:
    def __init__(self, described):
        kind = described.type.tensor_type
        self.name = described.name
        self.shape = [axis.dim_param or axis.dim_value for axis in kind.shape.dim]
        self.type = {onnx.TensorProto.FLOAT: "tensor(float)", onnx.TensorProto.DOUBLE: "tensor(double)",
                     onnx.TensorProto.INT64: "tensor(int64)"}[kind.elem_type]  # fmt: skip


def exported(model, folder, runtime="onnx"):
    model.to_onnx(folder / "model.onnx")
    found = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(found, full_check=True)
    if runtime == "onnx":
        return found, Evaluator(found)
    onnxruntime = optional("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return found, onnxruntime.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )  # fmt: skip


def run(session, x):
    (wanted,) = session.get_inputs()
    kind = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}[wanted.type]
    (y,) = session.run(None, {wanted.name: x.astype(kind)})
    return y


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_ours(name, dtype, runtime, tmp_path):
    model = built(name, dtype)
    _, session = exported(model, tmp_path, runtime)
    for n in (1, 7):  # any batch
        x = samples(name, n, dtype)
        expected, y = model.predict(x, verbose=0), run(session, x)
        assert y.dtype == dtype and y.shape == expected.shape
        tolerance = 1e-5 if dtype == np.float32 else 1e-6 if name.endswith("_gelu") else 1e-7
        np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_file_says_what_it_is(runtime, tmp_path):
    found, session = exported(built("nested"), tmp_path, runtime)
    assert [(one.domain, one.version) for one in found.opset_import] == [("", 17)] and found.ir_version == 8
    assert (found.producer_name, found.producer_version) == ("fastnn", fastnn.__version__)
    assert session.get_inputs()[0].shape == ["batch", 6] and session.get_outputs()[0].shape == ["batch", 2]
    assert run(session, np.zeros((0, 6))).shape == (0, 2)
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    _, session = exported(built("reshape"), tmp_path, runtime)
    assert run(session, np.zeros((0, 12))).shape == (0, 3, 2)


def test_numbers_of_rows_are_whole_in_front(tmp_path):
    assert exported(built("embedding"), tmp_path)[1].get_inputs()[0].type == "tensor(int64)"
    assert exported(built("embedding_beside"), tmp_path)[1].get_inputs()[0].type == "tensor(float)"


def test_weights_have_their_names(tmp_path):
    model = fastnn.Sequential([layers.Input((3,)), layers.Dense(2, name="first"), layers.BatchNormalization(name="n")])
    found, _ = exported(model, tmp_path)
    values = {one.name: onnx.numpy_helper.to_array(one) for one in found.graph.initializer}
    np.testing.assert_array_equal(values["first/kernel"], model.layers[0].kernel)
    np.testing.assert_array_equal(values["n/moving_variance"], np.ones(2))


def test_a_trained_model_is_exported_as_it_predicts(tmp_path, rng):
    x = rng.normal(3, 2, size=(64, 5)).astype(np.float32)
    normal = layers.Normalization()
    normal.adapt(x)
    model = fastnn.Sequential(
        [normal, layers.Dense(8, "gelu"), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)], seed=1
    )
    model.compile("adam", "mse")
    model.fit(x, x[:, :1], epochs=3, verbose=0)
    _, session = exported(model, tmp_path)
    np.testing.assert_allclose(run(session, x), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer, said",
    [
        (lambda: Doubling(name="mine"), "mine: a layer written in Python (Doubling)"),
        (lambda: layers.Dense(2, bent, name="mine"), "mine: its activation is written in Python"),
        (lambda: layers.Residual([layers.Activation(bent, name="inner")]), "inner: its activation is written in Py"),
    ],
)
def test_what_is_written_in_python_is_refused(layer, said, tmp_path):
    model = fastnn.Sequential([layers.Input((2,)), layer()])
    with pytest.raises(ValueError) as error:
        model.to_onnx(tmp_path / "model.onnx")
    assert said in str(error.value) and not list(tmp_path.iterdir())


def test_shapes_must_be_known(tmp_path):
    with pytest.raises(fastnn.NotBuiltError):
        fastnn.Sequential([layers.Dense(1)]).to_onnx(tmp_path / "model.onnx")


def test_without_onnx_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'fastnn-cpu\[onnx\]'"):
        built("relu").to_onnx(tmp_path / "model.onnx")
