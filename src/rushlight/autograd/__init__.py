"""Automatic differentiation under its public names, as `torch.autograd`.  Level: autograd (12)."""

from rushlight.autograd import anomaly_mode, function, functional, graph
from rushlight.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from rushlight.autograd.differentiation import backward, grad
from rushlight.autograd.function import Function
from rushlight.autograd.gradcheck import gradcheck, gradgradcheck
from rushlight.tensor.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
