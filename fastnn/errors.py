"""The errors that are fastnn's own. Wrong arguments raise ArgumentError or the built-in ValueError."""

__all__ = ["ArgumentError", "DivergenceError", "FastNNError", "FormatError", "NotBuiltError", "NotCompiledError"]


class FastNNError(Exception):
    """The base of every error that only fastnn raises.

    Examples
    --------
    >>> import fastnn
    >>> issubclass(fastnn.DivergenceError, fastnn.FastNNError), issubclass(fastnn.FormatError, fastnn.FastNNError)
    (True, True)
    """


class ArgumentError(TypeError, ValueError):
    """An argument is not of a type that it can have.

    Python's own functions raise TypeError there and Keras raises ValueError: this is both.

    Examples
    --------
    >>> import fastnn
    >>> try:
    ...     fastnn.Dense(2.5)
    ... except ValueError as error:
    ...     print(isinstance(error, TypeError))
    True
    """


class FormatError(FastNNError, ValueError):
    """A file is not what it claims to be.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "notes.txt")
    ...     with open(path, "w") as file:
    ...         _ = file.write("not a model")
    ...     try:
    ...         fastnn.load(path)
    ...     except fastnn.FormatError as error:
    ...         print(isinstance(error, ValueError))
    True
    """


class NotBuiltError(FastNNError, RuntimeError, ValueError, AttributeError):
    """A model or a layer was used before its shapes were known.

    It is an AttributeError too, so that `hasattr` and `getattr` with a default work, and a ValueError, which Keras
    raises in some of these cases.

    Examples
    --------
    >>> import fastnn
    >>> try:
    ...     fastnn.Sequential([fastnn.Dense(1)]).count_params()
    ... except fastnn.NotBuiltError as error:
    ...     print(isinstance(error, RuntimeError))
    True
    """


class NotCompiledError(FastNNError, RuntimeError):
    """A model was trained or evaluated before it had a loss.

    Examples
    --------
    >>> import fastnn
    >>> try:
    ...     fastnn.Sequential([fastnn.Dense(1)]).fit([[0.0]], [[1.0]])
    ... except fastnn.NotCompiledError as error:
    ...     print(isinstance(error, RuntimeError))
    True
    """


class DivergenceError(FastNNError, ArithmeticError):
    """The loss stopped being a finite number, or a step would have made weights infinite or NaN.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Dense(1)], seed=0)
    >>> model.compile(fastnn.optimizers.SGD(1e30), "mse")
    >>> try:
    ...     model.fit([[1.0], [2.0]], [[1.0], [2.0]], epochs=5, verbose=0)
    ... except fastnn.DivergenceError as error:
    ...     print(isinstance(error, ArithmeticError))
    True
    """
