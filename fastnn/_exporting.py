"""What a model can be written as and made from: files, ONNX, C, models of Keras and PyTorch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from fastnn import _validate

if TYPE_CHECKING:
    from fastnn.models import Sequential


class Exporting:
    """save and load_weights, to_onnx, to_c, from_keras, from_torch, to_torch, and the table that notebooks show.

    What writes and reads is imported where it is used: most programs need none of it.
    """

    _refuse_while_fitted: Any
    _need_built: Any

    def save(self, filepath: Any, overwrite: bool = True, include_optimizer: bool = True) -> None:
        """Write the model to one file, under any name: architecture, weights and, if it is compiled, how it learns.

        The file is written whole or not at all; ``fastnn.load`` reads it.
        """
        from fastnn import files

        optimizer = _validate.flag(include_optimizer, "include_optimizer")
        files.save(cast("Sequential", self), filepath, optimizer, _validate.flag(overwrite, "overwrite"))

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights alone: a plain safetensors file."""
        from fastnn import files

        files.save_weights(cast("Sequential", self), filepath, _validate.flag(overwrite, "overwrite"))

    def load_weights(self, filepath: Any) -> None:
        """Set the weights from a file of `save_weights`, or of `save`."""
        from fastnn import files

        self._refuse_while_fitted()
        self._need_built()
        files.load_weights(cast("Sequential", self), filepath)

    def to_onnx(self, filepath: Any) -> None:
        """Write the model as an ONNX file, for onnxruntime and its kin: opset 17, with a batch of any size.

        Needs the package onnx. Layers act as they do in `predict`; one that is written in Python is refused.
        """
        from fastnn import _onnx

        self._refuse_while_fitted()
        self._need_built()
        _onnx.save(self, filepath)

    def to_c(self, filepath: Any) -> None:
        """Write the model as one C99 file, ``*.c``, with a header beside it: a function that predicts one sample.

        It needs nothing but <math.h>, allocates nothing and writes to what it is handed alone. Its first comment says
        how much memory it takes. Layers act as they do in `predict`; one that is written in Python is refused.
        """
        from fastnn import _c_export

        self._refuse_while_fitted()
        self._need_built()
        _c_export.save(self, filepath)

    @classmethod
    def from_keras(cls, keras_model: Any) -> Self:
        """The model that a built keras.Sequential is, with copies of its weights. Not compiled."""
        from fastnn import _exchange

        model: Self = _exchange.from_keras(cls, keras_model)
        return model

    @classmethod
    def from_torch(cls, module: Any, input_shape: Sequence[int] | None = None) -> Self:
        """The model that a torch.nn.Sequential is, with copies of its weights. Not compiled.

        `input_shape` is that of one sample; it can be left out where the modules tell it, as Linear does.
        """
        from fastnn import _exchange

        model: Self = _exchange.from_torch(cls, module, input_shape)
        return model

    def to_torch(self) -> Any:
        """A torch.nn.Sequential of the same layers, with copies of the weights, in `eval` mode."""
        from fastnn import _exchange

        self._refuse_while_fitted()
        self._need_built()
        return _exchange.to_torch(self)

    def _repr_html_(self) -> str:
        from fastnn._html import model_table

        return model_table(self)
