"""The errors that are fastnn's own. Wrong arguments raise the built-in TypeError and ValueError."""

__all__ = ["DivergenceError", "FastNNError", "FormatError", "NotBuiltError", "NotCompiledError"]


class FastNNError(Exception):
    """The base of every error that only fastnn raises."""


class FormatError(FastNNError, ValueError):
    """A file is not what it claims to be."""


class NotBuiltError(FastNNError, RuntimeError):
    """A model was used before its shapes were known."""


class NotCompiledError(FastNNError, RuntimeError):
    """A model was trained or evaluated before it had a loss."""


class DivergenceError(FastNNError, ArithmeticError):
    """The loss stopped being a finite number."""
