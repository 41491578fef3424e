"""Layers that act in training: Dropout, GaussianNoise, BatchNormalization, and LayerNormalization beside them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _random, _validate, constraints, initializers, regularizers
from fastnn._core import norms
from fastnn._program import Builder, Tensor
from fastnn._validate import FloatArray
from fastnn.layers._base import Layer, Shape, axes_argument, sample_axes


class _Random(Layer):
    """A layer with a random stream: of its own seed, or of its model's."""

    _weightless = _takes_vectors = True

    def __init__(self, seed: int | None, kwargs: dict[str, Any]) -> None:
        super().__init__(**kwargs)
        self.seed = None if seed is None else _random.seed_of(seed)

    def _stream(self) -> dict[str, Any]:
        """The generator's key; the count of training forwards is added to the stream."""
        if self.seed is not None:
            return {"seed": self.seed, "stream": 0}
        assert self._model_seed is not None
        return {"seed": self._model_seed, "stream": self._number << 32}


class Dropout(_Random):
    """In training, x / (1 - rate), or 0 for the elements that are dropped; otherwise x.

    Shapes: as x.

    Parameters
    ----------
    rate : float
        The share that is dropped, 0 to 1.
    noise_shape : tuple, optional
        The masks' shape, that of the batch among them: elements along an axis where it has 1 are dropped together.
        None in it stands for the input's length.
    seed : int, optional
        By default the masks follow from the model's seed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Dropout
    >>> y = Dropout(0.5, seed=0)(np.ones((1, 1000)), training=True)
    >>> sorted(set(y.ravel().tolist())), bool(abs(y.mean() - 1) < 0.1)
    ([0.0, 2.0], True)
    """

    _weightless = True  # its build checks noise_shape

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, kwargs)
        self.rate = _validate.number(rate, "rate", minimum=0, maximum=1)
        self.noise_shape = None
        if noise_shape is not None:
            lengths = _validate.items(noise_shape, "noise_shape", "lengths, such as (None, 1, None)")
            self.noise_shape = tuple(
                None if n is None else _validate.integer(n, "noise_shape", minimum=1) for n in lengths
            )

    def build(self, input_shape: Shape) -> None:
        if self.noise_shape is None:
            return
        # the batch's own length is not known yet: there it is 1 or None
        fits = len(self.noise_shape) == len(input_shape) and self.noise_shape[0] in (1, None)
        if not fits or any(n not in (1, None, m) for n, m in zip(self.noise_shape[1:], input_shape[1:], strict=True)):
            raise ValueError(
                f"noise_shape: expected 1, None or the length for each axis of inputs {input_shape}, and 1 or None "
                f"for the batch, got {self.noise_shape}"
            )

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        if self.rate == 0:
            return x
        if self.noise_shape is None:
            return builder.op("dropout", x, x.shape, parameters=(self.rate,), **self._stream())
        shape = tuple(m if n is None else n for n, m in zip(self.noise_shape[1:], x.shape, strict=True))
        size = math.prod(shape)
        index = np.broadcast_to(np.arange(size).reshape(shape), x.shape)
        flat = Tensor(x.buffer, (x.size,))
        y = builder.op(
            "dropout", flat, flat.shape, parameters=(self.rate,), outputs=size, index=index.ravel(), kept=size,
            of_batch=self.noise_shape[0] == 1, **self._stream(),
        )  # fmt: skip
        return Tensor(y.buffer, x.shape)

    def get_config(self) -> dict[str, Any]:
        shape = None if self.noise_shape is None else list(self.noise_shape)
        return super().get_config() | {"rate": self.rate, "noise_shape": shape, "seed": self.seed}


class GaussianNoise(_Random):
    """In training, x plus normal noise; otherwise x.

    x + stddev z, z standard normal. Shapes: as x.

    Parameters
    ----------
    stddev : float
        The noise's standard deviation.
    seed : int, optional
        By default the noise follows from the model's seed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import GaussianNoise
    >>> y = GaussianNoise(0.1, seed=0)(np.zeros((1, 1000)), training=True)
    >>> bool(abs(y.std() - 0.1) < 0.01)
    True
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, kwargs)
        self.stddev = _validate.number(stddev, "stddev", minimum=0)

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        return builder.op("noise", x, x.shape, parameters=(self.stddev,), **self._stream())

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"stddev": self.stddev, "seed": self.seed}


class _Normalizing(Layer):
    """What the two normalisations share: gamma and beta."""

    gamma: FloatArray | None
    beta: FloatArray | None

    def _take(self, options: dict[str, Any]) -> None:
        self.center, self.scale = (_validate.flag(options.pop(name), name) for name in ("center", "scale"))
        for name in ("beta", "gamma"):
            setattr(self, f"{name}_initializer", initializers.get(options.pop(f"{name}_initializer")))
            setattr(self, f"{name}_regularizer", regularizers.get(options.pop(f"{name}_regularizer")))
            setattr(self, f"{name}_constraint", constraints.get(options.pop(f"{name}_constraint")))

    def _weight(self, name: str, shape: Sequence[int]) -> FloatArray:
        return self.add_weight(
            shape, getattr(self, f"{name}_initializer"), name=name, regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
        )  # fmt: skip

    def _scaling(self, shape: Sequence[int]) -> None:
        self.gamma = self._weight("gamma", shape) if self.scale else None
        self.beta = self._weight("beta", shape) if self.center else None

    def _roles(self) -> dict[str, Any]:
        named = {v.name: v for v in self._variables}
        return {"w": named.get("gamma"), "b": named.get("beta")}


_SCALING = (
    "center", "scale", "beta_initializer", "gamma_initializer", "beta_regularizer", "gamma_regularizer",
    "beta_constraint", "gamma_constraint",
)  # fmt: skip


class BatchNormalization(_Normalizing):
    """Each element of the last axis, or another, normalised over the batch and all other axes; scaled and shifted.

    In training by the batch's own mean and (biased) variance, which move the moving ones; otherwise, and always where
    the layer is frozen, by the moving ones.

    gamma (x - mean) / sqrt(variance + epsilon) + beta. Shapes: as x; gamma, beta and both moving statistics have the
    length of the axis.

    Parameters
    ----------
    axis : int
        Along which elements have statistics of their own.
    momentum : float
        moving = momentum moving + (1 - momentum) batch's, once a step.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are a beta to add and a gamma to multiply by.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import BatchNormalization
    >>> y = BatchNormalization()(np.array([[0.0], [2.0]]), training=True)
    >>> y.round(3).tolist()
    [[-1.0], [1.0]]
    """

    _options = ("axis", "momentum", "epsilon", "moving_mean_initializer", "moving_variance_initializer", *_SCALING)

    moving_mean: FloatArray
    moving_variance: FloatArray

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {name: value for name, value in locals().items() if name in _SCALING}
        super().__init__(**kwargs)
        self._take(options)
        self.axis = _validate.integer(axis, "axis")
        self.momentum = _validate.number(momentum, "momentum", minimum=0, maximum=1)
        self.epsilon = _validate.number(epsilon, "epsilon", minimum=0)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        if synchronized:
            raise ValueError("synchronized: there is one process here; leave it out")

    def build(self, input_shape: Shape) -> None:
        (axis,) = sample_axes(self.axis, input_shape)
        n = input_shape[axis + 1 : axis + 2]
        self._scaling(n)
        self.moving_mean = self.add_weight(n, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            n, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        mean, variance = self._variables[-2:]
        return builder.with_last(
            x,
            sample_axes(self.axis, (None, *x.shape)),
            lambda rows: builder.op(
                "batch_norm", rows, rows.shape, mean=mean.offset, variance=variance.offset, of_batch=self.trainable,
                parameters=(self.epsilon, self.momentum), sized=6 * rows.columns, **self._roles(),
            ),
        )  # fmt: skip


class LayerNormalization(_Normalizing):
    """Each row normalised by its own mean and variance, then scaled and shifted.

    gamma (x - mean) / sqrt(variance + epsilon) + beta. Shapes: as x; gamma and beta have the shape of the axes.

    Parameters
    ----------
    axis : int or list of int
        What a row is made of: the last axis, -1, or others.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are a beta to add and a gamma to multiply by.
    rms_scaling : bool
        Divide by the root of the mean square instead, and neither subtract nor add anything.
    beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint

    Examples
    --------
    >>> from fastnn.layers import LayerNormalization
    >>> LayerNormalization()([[0.0, 2.0]]).round(3).tolist()
    [[-1.0, 1.0]]
    """

    _options = ("axis", "epsilon", "rms_scaling", *_SCALING)

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        rms_scaling: bool = False,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        options = {name: value for name, value in locals().items() if name in _SCALING}
        super().__init__(**kwargs)
        self._take(options)
        self.axis = axes_argument(axis)
        self.epsilon = _validate.number(epsilon, "epsilon", minimum=0)
        self.rms_scaling = _validate.flag(rms_scaling, "rms_scaling")
        if self.rms_scaling:
            self.center = False

    def build(self, input_shape: Shape) -> None:
        self._scaling([input_shape[axis + 1] for axis in sample_axes(self.axis, input_shape)])

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        return builder.with_last(
            x,
            sample_axes(self.axis, (None, *x.shape)),
            lambda rows: builder.op(
                "layer_norm", rows, rows.shape, kept=3 * rows.rows, parameters=(self.epsilon,),
                activation=norms.RMS if self.rms_scaling else norms.LAYER, **self._roles(),
            ),
        )  # fmt: skip
