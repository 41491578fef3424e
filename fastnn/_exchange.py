"""Models of Keras and of PyTorch as models of fastnn, and back to PyTorch: what both sides have, weights copied."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import initializers, layers
from fastnn.layers._base import Layer, Shape, sample_axes, sample_shape
from fastnn.layers._branches import ModelLayer

__all__ = ["from_keras", "from_torch", "to_torch"]

# ---------------------------------------------------------------------------------------------------------- from Keras

KERAS_LAYERS = (
    "Dense", "Embedding", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Dropout", "GaussianNoise",
    "BatchNormalization", "LayerNormalization", "Flatten", "Reshape", "Rescaling", "Normalization",
)  # fmt: skip
WITHOUT_EFFECT = {"dtype", "renorm_momentum", "renorm_clipping"}  # the last two only count where renorm does


def _is_keras(value: Any, names: Sequence[str]) -> bool:
    """Whether it is an instance of one of Keras's own classes, and not of one made from it."""
    return type(value).__module__.partition(".")[0] == "keras" and type(value).__name__ in names


def from_keras(cls: Any, keras_model: Any) -> Any:
    """A model of class cls from a built keras.Sequential."""
    if not _is_keras(keras_model, ["Sequential"]):
        raise TypeError(f"keras_model: expected a keras.Sequential, got {_kind(keras_model)}")
    if not keras_model.built:
        raise ValueError(
            f"keras_model: {keras_model.name} has no weights yet; call keras_model.build((None, ...)) first"
        )
    leaves = list(_keras_leaves(keras_model))
    precisions = {(layer.compute_dtype, layer.variable_dtype) for layer in leaves}
    dtype = precisions.pop()[0] if len(precisions) == 1 else None
    if dtype not in ("float32", "float64"):
        raise ValueError(
            "keras_model: expected layers that all compute in float32, or all in float64, got "
            f"{sorted({layer.compute_dtype for layer in leaves})}; convert the model first"
        )
    model = _from_keras(cls, keras_model, dtype)
    model.build(keras_model.input_shape)
    for ours, theirs in zip(_leaves(model._stack), leaves, strict=True):
        _set(ours, theirs.get_weights(), theirs.name)
    return model


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


def _keras_leaves(model: Any) -> Any:
    for layer in model.layers:
        if _is_keras(layer, ["Sequential"]):
            yield from _keras_leaves(layer)
        else:
            yield layer


def _leaves(stack: Sequence[Layer]) -> Any:
    for layer in stack:
        if isinstance(layer, ModelLayer):
            yield from _leaves(layer._layers)
        else:
            yield layer


def _from_keras(cls: Any, keras_model: Any, dtype: str) -> Any:
    from fastnn.models import Sequential

    made = [
        _from_keras(Sequential, layer, dtype) if _is_keras(layer, ["Sequential"]) else _keras_layer(layer)
        for layer in keras_model.layers
    ]
    return cls(made, trainable=keras_model.trainable, name=keras_model.name, dtype=dtype)


def _keras_layer(layer: Any) -> Layer:
    if not _is_keras(layer, KERAS_LAYERS):
        raise ValueError(
            f"{layer.name}: fastnn has no layer like {_kind(layer)}; it has {', '.join(KERAS_LAYERS)} and Sequential"
        )
    made = getattr(layers, type(layer).__name__)
    known = inspect.signature(made).parameters.keys() | {"name", "trainable", "activity_regularizer"}
    config = {}
    for key, value in layer.get_config().items():
        if key in WITHOUT_EFFECT:
            continue
        if key.endswith("_initializer"):
            value = _initializer(value)
        elif key not in known and (value is None or value is False):
            continue
        elif key not in known:
            raise ValueError(f"{layer.name}: fastnn's {made.__name__} has no {key}, and it is {value!r} here")
        config[key] = value
    try:
        return made(**config)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{layer.name}: {error}") from None


def _initializer(config: Any) -> Any:
    """An initializer, as far as fastnn has it: the weights' values are copied whatever it is."""
    try:
        return initializers.get(config)
    except (TypeError, ValueError):
        return None


def _set(layer: Layer, weights: Sequence[Any], name: str) -> None:
    try:
        layer.set_weights(weights)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


# -------------------------------------------------------------------------------------------------------- from PyTorch

# What is an activation by its name: the attributes that a module must have the given values of
TORCH_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "CELU": ("celu", {"alpha": 1.0}),
    "GLU": ("glu", {}),
    "Hardshrink": ("hard_shrink", {"lambd": 0.5}),
    "Hardsigmoid": ("hard_sigmoid", {}),
    "Hardswish": ("hard_silu", {}),
    "Hardtanh": ("hard_tanh", {"min_val": -1.0, "max_val": 1.0}),
    "Identity": ("linear", {}),
    "LogSigmoid": ("log_sigmoid", {}),
    "LogSoftmax": ("log_softmax", {}),
    "Mish": ("mish", {}),
    "ReLU6": ("relu6", {}),
    "SELU": ("selu", {}),
    "SiLU": ("silu", {}),
    "Sigmoid": ("sigmoid", {}),
    "Softplus": ("softplus", {"beta": 1.0, "threshold": 20.0}),
    "Softshrink": ("soft_shrink", {"lambd": 0.5}),
    "Softsign": ("softsign", {}),
    "Tanh": ("tanh", {}),
    "Tanhshrink": ("tanh_shrink", {}),
    "Threshold": ("threshold", {"threshold": 0.0, "value": 0.0}),
}
ALONG_AN_AXIS = {"GLU", "LogSoftmax"}
KEEP_SHAPE = {*TORCH_ACTIVATIONS, "ReLU", "LeakyReLU", "ELU", "GELU", "Dropout", "Softmax"} - {"GLU"}

Made = tuple[Layer, list[Any]]


def from_torch(cls: Any, module: Any, input_shape: Sequence[int] | None) -> Any:
    """A model of class cls from a torch.nn.Sequential."""
    torch = sys.modules.get("torch")
    if torch is None or type(module) is not torch.nn.Sequential:
        raise TypeError(f"module: expected a torch.nn.Sequential, got {_kind(module)}")
    found = {_precision(t) for t in [*module.parameters(), *module.buffers()] if t.is_floating_point()}
    dtype = "float32" if not found else found.pop() if len(found) == 1 else None
    if dtype not in ("float32", "float64"):
        raise ValueError("module: expected weights all in float32, or all in float64; call module.float() first")
    _check_modules(module)
    shape = _torch_input(module) if input_shape is None else sample_shape(input_shape, "input_shape")
    if shape is None:
        raise ValueError("input_shape: the first modules do not tell the shape of a sample; pass it, such as (28, 28)")
    weights: list[list[Any]] = []
    model = _from_torch(cls, module, shape, dtype, weights, "")
    model.build((None, *shape))
    for layer, arrays in zip(_leaves(model._stack), weights, strict=True):
        _set(layer, arrays, layer.name)
    return model


def _precision(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _check_modules(module: Any, path: str = "module") -> None:
    """Refuse what there is no layer for, and what does more than its class says."""
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(f"{path}: it has hooks, which fastnn would not call; remove them first")
    known = {*TORCH_LAYERS, *TORCH_ACTIVATIONS}
    for place, one in module._modules.items():
        name = f"{path} {place}" if path == "module" else f"{path}.{place}"
        own, kind = type(one).__module__.startswith("torch.nn.modules."), type(one).__name__
        if not own or kind not in known | {"Sequential"}:
            raise ValueError(f"{name}: fastnn has no layer like {_kind(one)}; it has {', '.join(sorted(known))}")
        _check_modules(one, name)


def _torch_input(module: Any) -> Shape | None:
    """The shape of a sample, from the first module that tells it."""
    for one in module.modules():
        name = type(one).__name__
        if name == "Linear":
            return (one.in_features,)
        if name == "BatchNorm1d":
            return (one.num_features,)
        if name in ("LayerNorm", "RMSNorm"):
            return tuple(one.normalized_shape)
        if name == "PReLU" and one.num_parameters > 1:
            return (one.num_parameters,)
        if name not in KEEP_SHAPE | {"Sequential", "PReLU"}:
            return None
    return None


def _from_torch(cls: Any, module: Any, shape: Shape, dtype: str, weights: list[list[Any]], path: str) -> Any:
    """The model; what its layers' weights are is added to `weights`."""
    from fastnn.models import Sequential

    made: list[Any] = []
    # iterated as PyTorch calls them: a module that stands in two places comes twice
    for place, one in zip(module._modules, module, strict=True):
        name = f"module {path}{place}"
        if type(one) is type(module):
            inner = _from_torch(Sequential, one, shape, dtype, weights, f"{path}{place}.")
            if inner._stack:
                made.append(inner)
                shape = inner.compute_output_shape((None, *shape))[1:]
            continue
        try:
            layer, arrays = _torch_layer(one, shape)
            layer.trainable = all(p.requires_grad for p in one.parameters())
            shape = layer._output_of(shape)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None
        made.append(layer)
        weights.append([a.detach().cpu().numpy() for a in arrays if a is not None])
    return cls(made, dtype=dtype)


def _torch_layer(module: Any, shape: Shape) -> Made:
    """The layer that a module is, and its weights."""
    name = type(module).__name__
    if name in TORCH_ACTIVATIONS:
        if name == "Hardtanh" and module.min_val == 0:
            return layers.ReLU(max_value=module.max_val), []
        return _torch_activation(module, shape), []
    return TORCH_LAYERS[name](module, shape)


def _torch_activation(module: Any, shape: Shape) -> Layer:
    name = type(module).__name__
    activation, wanted = TORCH_ACTIVATIONS[name]
    for key, value in wanted.items():
        if getattr(module, key) != value:
            raise ValueError(f"fastnn has {name} with {key}={value} only, got {getattr(module, key)}")
    if name in ALONG_AN_AXIS and module.dim not in (-1, len(shape)):
        raise ValueError(f"fastnn has {name} along the last axis only, got dim={module.dim}")
    return layers.Activation(activation)


def _torch_linear(module: Any, shape: Shape) -> Made:
    made = layers.Dense(module.out_features, use_bias=module.bias is not None)
    return made, [module.weight.T, module.bias]


def _torch_prelu(module: Any, shape: Shape) -> Made:
    """PyTorch's slopes are one for all, or one for each element of the first axis."""
    alpha = module.weight
    if module.num_parameters == 1:
        made = layers.PReLU(shared_axes=list(range(1, len(shape) + 1)))
        return made, [alpha.reshape([1] * len(shape))]
    made = layers.PReLU(shared_axes=list(range(2, len(shape) + 1)) or None)
    return made, [alpha.reshape([-1] + [1] * (len(shape) - 1))]


def _torch_batch_norm(module: Any, shape: Shape) -> Made:
    if not module.track_running_stats or module.momentum is None:
        raise ValueError("fastnn's BatchNormalization has moving statistics with a momentum; this module has none")
    made = layers.BatchNormalization(
        axis=1, momentum=1 - module.momentum, epsilon=module.eps, center=module.affine, scale=module.affine
    )
    return made, [module.weight, module.bias, module.running_mean, module.running_var]


def _torch_layer_norm(module: Any, shape: Shape) -> Made:
    n = len(module.normalized_shape)
    if tuple(module.normalized_shape) != shape[len(shape) - n :]:
        raise ValueError(f"it normalises {tuple(module.normalized_shape)}, and samples have shape {shape} here")
    bias = getattr(module, "bias", None)
    rms = type(module).__name__ == "RMSNorm"
    epsilon = module.eps
    if epsilon is None:  # PyTorch takes the smallest step of the type
        if module.weight is None:
            raise ValueError("RMSNorm has neither eps nor a weight that tells its precision; pass eps")
        epsilon = float(np.finfo(_precision(module.weight)).eps)
    made = layers.LayerNormalization(
        axis=list(range(-n, 0)), epsilon=epsilon, center=bias is not None, scale=module.weight is not None,
        rms_scaling=rms,
    )  # fmt: skip
    return made, [module.weight, bias]


def _torch_flatten(module: Any, shape: Shape) -> Made:
    if module.start_dim != 1 or module.end_dim not in (-1, len(shape)):
        raise ValueError("fastnn flattens all axes but the batch's: start_dim=1, end_dim=-1")
    return layers.Flatten(), []


def _torch_unflatten(module: Any, shape: Shape) -> Made:
    if len(shape) != 1 or module.dim not in (1, -1):
        raise ValueError("fastnn reshapes whole samples: only Unflatten(1, ...) of samples with one axis is the same")
    return layers.Reshape(tuple(module.unflattened_size)), []


def _torch_softmax(module: Any, shape: Shape) -> Made:
    if module.dim is None:
        raise ValueError("Softmax has no dim, and PyTorch guesses one; pass dim=-1")
    sample_axes(module.dim, (None, *shape))
    return layers.Softmax(axis=module.dim), []


def _torch_embedding(module: Any, shape: Shape) -> Made:
    if module.max_norm is not None:
        raise ValueError("fastnn's Embedding has no max_norm; use an embeddings_constraint in training")
    return layers.Embedding(module.num_embeddings, module.embedding_dim), [module.weight]


def _torch_gelu(module: Any, shape: Shape) -> Made:
    return layers.Activation("gelu_tanh" if module.approximate == "tanh" else "gelu"), []


TORCH_LAYERS: dict[str, Callable[[Any, Shape], Made]] = {
    "BatchNorm1d": _torch_batch_norm,
    "Dropout": lambda module, shape: (layers.Dropout(module.p), []),
    "ELU": lambda module, shape: (layers.ELU(module.alpha), []),
    "Embedding": _torch_embedding,
    "Flatten": _torch_flatten,
    "GELU": _torch_gelu,
    "LayerNorm": _torch_layer_norm,
    "LeakyReLU": lambda module, shape: (layers.LeakyReLU(module.negative_slope), []),
    "Linear": _torch_linear,
    "PReLU": _torch_prelu,
    "RMSNorm": _torch_layer_norm,
    "ReLU": lambda module, shape: (layers.ReLU(), []),
    "Softmax": _torch_softmax,
    "Unflatten": _torch_unflatten,
}


# ---------------------------------------------------------------------------------------------------------- to PyTorch


def _relu_module(nn: Any, slope: float, limit: float, threshold: float) -> Any:
    """PyTorch's module for a ReLU with arguments, or None."""
    if threshold or (slope and limit != np.inf):
        return None
    if limit != np.inf:
        return nn.Hardtanh(0.0, limit)
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


MODULES: dict[str, Callable[..., Any]] = {
    "linear": lambda nn: nn.Identity(),
    "relu": lambda nn: nn.ReLU(),
    "relu6": lambda nn: nn.ReLU6(),
    "leaky_relu": lambda nn, slope: nn.LeakyReLU(slope),
    "relu_general": _relu_module,
    "hard_sigmoid": lambda nn: nn.Hardsigmoid(),
    "hard_tanh": lambda nn: nn.Hardtanh(),
    "hard_silu": lambda nn: nn.Hardswish(),
    "threshold": lambda nn, threshold, value: nn.Threshold(threshold, value),
    "hard_shrink": lambda nn, threshold: nn.Hardshrink(threshold),
    "soft_shrink": lambda nn, threshold: nn.Softshrink(threshold),
    "softsign": lambda nn: nn.Softsign(),
    "sigmoid": lambda nn: nn.Sigmoid(),
    "tanh": lambda nn: nn.Tanh(),
    "tanh_shrink": lambda nn: nn.Tanhshrink(),
    "elu": lambda nn, alpha: nn.ELU(alpha),
    "celu": lambda nn, alpha: nn.CELU(alpha),
    "selu": lambda nn: nn.SELU(),
    "softplus": lambda nn: nn.Softplus(),
    "log_sigmoid": lambda nn: nn.LogSigmoid(),
    "silu": lambda nn: nn.SiLU(),
    "mish": lambda nn: nn.Mish(),
    "gelu": lambda nn: nn.GELU(),
    "gelu_tanh": lambda nn: nn.GELU("tanh"),
    "softmax": lambda nn: nn.Softmax(-1),
    "log_softmax": lambda nn: nn.LogSoftmax(-1),
    "glu": lambda nn: nn.GLU(-1),
}


def to_torch(model: Any) -> Any:
    """A torch.nn.Sequential of a built model."""
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch needs PyTorch: pip install torch") from None
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # new modules draw weights, which are replaced
        return torch.nn.Sequential(*_modules(torch, model._stack)).eval()


def _modules(torch: Any, stack: Sequence[Layer]) -> list[Any]:
    return [module for layer in stack for module in _modules_of(torch, layer)]


def _modules_of(torch: Any, layer: Any) -> list[Any]:
    if isinstance(layer, ModelLayer):
        return [torch.nn.Sequential(*_modules(torch, layer._layers))]
    known = next((WRITERS[cls] for cls in type(layer).__mro__ if cls in WRITERS), None)
    made = None if known is None else known(torch, layer, layer._input_shape)
    if made is None:
        raise ValueError(f"{layer.name}: PyTorch has no module like this {type(layer).__name__} with its arguments")
    for module in made:
        for parameter in module.parameters():
            parameter.requires_grad_(parameter.requires_grad and layer.trainable)
    return made  # type: ignore[no-any-return]


def _fill(torch: Any, layer: Any, module: Any, arrays: Mapping[str, Any]) -> Any:
    """The module in the layer's precision, with copies of arrays as its parameters and buffers."""
    module = module.to(getattr(torch, layer.dtype))
    for name, array in arrays.items():
        if array is not None:
            getattr(module, name).copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return module


def _activation(torch: Any, layer: Any) -> Any:
    form = layer._form
    if form.row is None or form.row.name not in MODULES:
        name = form.config if form.row is None else form.row.name
        raise ValueError(f"{layer.name}: PyTorch has no module for the activation {name!r}")
    return MODULES[form.row.name](torch.nn, *map(float, form.values[: len(form.row.parameters)]))


def _write_activation(torch: Any, layer: Any, shape: Shape) -> Any:
    module = _activation(torch, layer)
    return None if module is None else [module]


def _write_dense(torch: Any, layer: Any, shape: Shape) -> Any:
    linear = torch.nn.Linear(shape[-1], layer.units, bias=layer.use_bias)
    made = [_fill(torch, layer, linear, {"weight": layer.kernel.T, "bias": layer.bias})]
    if layer._form.is_linear:
        return made
    module = _activation(torch, layer)
    return None if module is None else [*made, module]


def _write_softmax(torch: Any, layer: Any, shape: Shape) -> Any:
    axes = sample_axes(layer.axis, (None, *shape))
    return [torch.nn.Softmax(axes[0] + 1)] if len(axes) == 1 else None


def _write_prelu(torch: Any, layer: Any, shape: Shape) -> Any:
    alpha = layer.alpha
    if alpha.size != 1 and alpha.shape[:1] != (alpha.size,):
        return None
    return [_fill(torch, layer, torch.nn.PReLU(alpha.size), {"weight": alpha.ravel()})]


def _without(module: Any, layer: Any) -> Any:
    """Where the layer has no gamma or no beta, PyTorch's stays 1 or 0."""
    if not layer.scale and module.weight is not None:
        module.weight.fill_(1.0).requires_grad_(False)
    if not layer.center and module.bias is not None:
        module.bias.fill_(0.0).requires_grad_(False)
    return module


def _write_batch_norm(torch: Any, layer: Any, shape: Shape) -> Any:
    if len(shape) > 2 or sample_axes(layer.axis, (None, *shape)) != [0]:
        return None
    module = torch.nn.BatchNorm1d(
        shape[0], layer.epsilon, 1 - layer.momentum, affine=layer.scale or layer.center
    )  # fmt: skip
    arrays = {"running_mean": layer.moving_mean, "running_var": layer.moving_variance}
    return [_without(_fill(torch, layer, module, {"weight": layer.gamma, "bias": layer.beta, **arrays}), layer)]


def _write_layer_norm(torch: Any, layer: Any, shape: Shape) -> Any:
    axes = sample_axes(layer.axis, (None, *shape))
    if axes != list(range(axes[0], len(shape))):
        return None
    if layer.rms_scaling:
        module = torch.nn.RMSNorm(shape[axes[0] :], layer.epsilon, elementwise_affine=layer.scale)
        return [_fill(torch, layer, module, {"weight": layer.gamma})]
    module = torch.nn.LayerNorm(
        shape[axes[0] :], layer.epsilon, elementwise_affine=layer.scale or layer.center, bias=layer.center
    )
    return [_without(_fill(torch, layer, module, {"weight": layer.gamma, "bias": layer.beta}), layer)]


def _write_reshape(torch: Any, layer: Any, shape: Shape) -> Any:
    target = layer._output_of(shape)
    if not shape or not target:
        return None
    return [torch.nn.Flatten(), torch.nn.Unflatten(1, target)][len(shape) == 1 :]


def _write_embedding(torch: Any, layer: Any, shape: Shape) -> Any:
    module = torch.nn.Embedding(layer.input_dim, layer.output_dim)
    return [_fill(torch, layer, module, {"weight": layer.embeddings})]


WRITERS: dict[type, Callable[[Any, Any, Shape], Any]] = {
    layers.Activation: _write_activation,
    layers.BatchNormalization: _write_batch_norm,
    layers.Dense: _write_dense,
    layers.Dropout: lambda torch, layer, shape: None if layer.noise_shape else [torch.nn.Dropout(layer.rate)],
    layers.ELU: _write_activation,
    layers.Embedding: _write_embedding,
    layers.Flatten: lambda torch, layer, shape: [torch.nn.Flatten()] if shape else None,
    layers.LayerNormalization: _write_layer_norm,
    layers.LeakyReLU: _write_activation,
    layers.PReLU: _write_prelu,
    layers.ReLU: _write_activation,
    layers.Reshape: _write_reshape,
    layers.Softmax: _write_softmax,
}
