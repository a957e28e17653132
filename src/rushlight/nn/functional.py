"""PyTorch's `nn.functional`: names for the spellings of `ops`; computes nothing.  Level 12."""

from rushlight.ops.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from rushlight.ops.matmul import (
    bilinear,
    linear,
)
from rushlight.ops.pointwise import (
    relu,
    sigmoid,
    tanh,
)
from rushlight.ops.shaping import (
    unfold,
)

__all__ = [
    "alpha_dropout",
    "bilinear",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "linear",
    "relu",
    "sigmoid",
    "tanh",
    "unfold",
]
