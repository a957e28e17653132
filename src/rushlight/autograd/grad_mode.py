"""The switches of gradient recording under `torch.autograd.grad_mode`.  Level: autograd (12)."""

from rushlight.tensor.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]
