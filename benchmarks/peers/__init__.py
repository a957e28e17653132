"""The workloads written by hand for libraries with interfaces of their own.

Each module has `build(name, threads, arrays)`, which gives a `Job` that starts from the arrays in
that file and computes the same losses as the PyTorch source; and the functions that `MAKERS` names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


class NotWritten(NotImplementedError):
    """A workload without an equivalent for this peer."""

    def __init__(self, peer: str, name: str) -> None:
        super().__init__(f"{name} is not written for {peer}")


HEADS = {"gpt_small": 4, "gpt_medium": 6}
LEARNING_RATE, BETAS, EPS, DECAY = 1e-3, (0.9, 0.999), 1e-8, 1e-2
LAYER_NORM_EPS = 1e-5

# The function of a peer's module that makes a workload's step.
MAKERS = {
    "mlp_tiny": "classifier",
    "mlp_tiny_compiled": "classifier",
    "logistic_by_hand": "logistic",
    "logistic_compiled": "logistic",
    "mlp_784": "classifier",
    "mlp_inference": "inference",
    "gpt_small": "gpt",
    "gpt_medium": "gpt",
    "chain": "chain",
    "softmax_layer_norm": "softmax_layer_norm",
    "matmul_1024": "product",
    "matmul_forward": "product",
    "matmul_input_gradient": "product",
    "matmul_weight_gradient": "product",
}


def maker(peer: str, module: str, name: str) -> Callable:
    """The function of `module` that makes the workload's step.  Raises: NotWritten."""
    if name not in MAKERS:
        raise NotWritten(peer, name)
    return getattr(sys.modules[module], MAKERS[name])
