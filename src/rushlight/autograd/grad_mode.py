"""The switches of gradient recording under `torch.autograd.grad_mode`.  Level: autograd (12)."""

from rushlight.autograd.switches import enforce_grad_layout_policy, set_multithreading_enabled
from rushlight.tensor.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = [
    "enable_grad",
    "enforce_grad_layout_policy",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]
