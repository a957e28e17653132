"""Names of quantized tensors that others answer to, too.

Level 11.
"""

from __future__ import annotations

from rushlight.base.dtypes import float32
from rushlight.ops.spelling import attach_method
from rushlight.tensor.tensor import Tensor


@attach_method("dequantize")
def dequantize(self) -> Tensor:
    """The tensor in float32: it is not quantized."""
    return self.to(float32)


def _refusing(name: str):
    def method(self):
        raise NotImplementedError(
            f"Could not run 'aten::{name}' with arguments from the 'CPU' backend: the tensor is "
            "not quantized; use torch.quantize_per_tensor before"
        )

    method.__name__ = name
    method.__doc__ = "Of a quantized tensor; others refuse."
    return method


for _name in (
    "int_repr", "q_scale", "q_zero_point", "q_per_channel_scales", "q_per_channel_zero_points",
    "q_per_channel_axis", "qscheme",
):  # fmt: skip
    attach_method(_name)(_refusing(_name))
