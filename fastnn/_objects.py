"""Objects by name and as plain dicts, in the form that Keras writes: {"class_name": ..., "config": {...}}."""

import re
from collections.abc import Mapping
from typing import Any

from fastnn import _validate
from fastnn.errors import ArgumentError


def snake_case(name: str) -> str:
    """MaxNorm -> max_norm; L1L2 stays l1l2."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def serialize(value: Any, module: str) -> dict[str, Any]:
    """An object that has get_config() as a dict that `deserialize` turns back into its like."""
    if not hasattr(value, "get_config"):
        raise TypeError(f"expected an object with get_config(), got {value!r}; give its class a get_config method")
    cls = type(value)
    ours = cls.__module__.startswith("fastnn.")
    return {
        "module": module if ours else cls.__module__,
        "class_name": cls.__name__,
        "config": value.get_config(),
        "registered_name": None if ours else cls.__name__,
    }


def deserialize(
    config: Mapping[str, Any], known: Mapping[str, type], custom_objects: Mapping[str, Any] | None, name: str
) -> Any:
    """The object that a dict of `serialize`, or of Keras's, describes. Class names are found whatever their case."""
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise ValueError(f"{name}: expected a dict with 'class_name' and 'config', got {config!r}")
    wanted = config["class_name"]
    table: dict[str, Any] = {key.lower(): value for key, value in known.items()}
    table.update({key.lower(): value for key, value in (custom_objects or {}).items()})
    return made(table[_validate.choice(str(wanted).lower(), name, table)], config.get("config"), name)


def made(cls: Any, config: Any, name: str) -> Any:
    """What cls.from_config makes of a config, which may be anything."""
    arguments = {} if config is None else config
    if not isinstance(arguments, Mapping) or not all(isinstance(key, str) for key in arguments):
        raise ArgumentError(f"{name}: expected the arguments of {cls.__name__} as a dict, got {config!r}")
    try:
        return cls.from_config(dict(arguments)) if hasattr(cls, "from_config") else cls(**arguments)
    except ArgumentError:
        raise
    except (TypeError, KeyError) as error:  # an argument is missing, or there is none of this name
        raise ArgumentError(f"{name}: {cls.__name__} cannot be made of {config!r}: {error}") from error


def get(identifier: Any, known: Mapping[str, type], name: str) -> Any:
    """None, an instance, a class, a name or a dict: as an instance (or None)."""
    if identifier is None:
        return None
    if isinstance(identifier, str):
        return known[_validate.choice(identifier, name, known)]()
    if isinstance(identifier, Mapping):
        return deserialize(identifier, known, None, name)
    return identifier() if isinstance(identifier, type) else identifier
