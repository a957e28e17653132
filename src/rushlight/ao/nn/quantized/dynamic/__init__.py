"""PyTorch's `torch.ao.nn.quantized.dynamic`: activations are quantized as they come.

Level: ao (12).
"""

from rushlight.ao.nn.quantized.dynamic.modules import (
    GRU,
    LSTM,
    GRUCell,
    Linear,
    LSTMCell,
    RNNCell,
)

__all__ = ["GRU", "LSTM", "GRUCell", "LSTMCell", "Linear", "RNNCell"]
