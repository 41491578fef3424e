"""fastnn: dense neural networks on the CPU."""

from fastnn import activations, losses
from fastnn._core.kernels import cpu_info, get_num_threads, set_num_threads

__version__ = "0.1.0"
__all__ = ["activations", "cpu_info", "get_num_threads", "losses", "set_num_threads"]
