"""All workloads by name, and the ratio to PyTorch that each has to reach."""

from __future__ import annotations

from benchmarks.attentions import (
    attention_64,
    attention_256,
    attention_256_full,
    attention_4096,
    attention_dropout,
)
from benchmarks.models import (
    cnn_small,
    gru_large,
    loader_epoch,
    lstm,
    lstm_large,
    lstm_packed,
    residual,
)
from benchmarks.products import (
    matmul_1024,
    matmul_forward,
    matmul_input_gradient,
    matmul_weight_gradient,
)
from benchmarks.workloads import (
    Build,
    chain,
    gpt_medium,
    gpt_medium_bf16,
    gpt_small,
    logistic_by_hand,
    logistic_compiled,
    mlp_784,
    mlp_inference,
    mlp_tiny,
    mlp_tiny_compiled,
    softmax_layer_norm,
)

WORKLOADS: dict[str, Build] = {
    build.__name__: build
    for build in (
        mlp_tiny, mlp_tiny_compiled, logistic_by_hand, logistic_compiled, mlp_784, gpt_small,
        gpt_medium, gpt_medium_bf16, chain, softmax_layer_norm,
        matmul_1024, matmul_forward, matmul_input_gradient, matmul_weight_gradient,
        mlp_inference, cnn_small, residual, lstm, lstm_large, gru_large, lstm_packed,
        loader_epoch, attention_64, attention_256, attention_256_full, attention_4096,
        attention_dropout,
    )
}  # fmt: skip

# PyTorch's time over ours, with two threads.
TARGETS = {
    "mlp_tiny": 4.0,
    "logistic_by_hand": 2.5,
    "mlp_784": 2.5,
    "gpt_small": 1.6,
    "gpt_medium": 1.3,
    "chain": 4.0,
    "softmax_layer_norm": 2.5,
    "matmul_1024": 0.95,
    "matmul_forward": 0.95,
    "matmul_input_gradient": 0.95,
    "matmul_weight_gradient": 0.95,
    "cnn_small": 2.0,
    "lstm_large": 1.5,
    "gru_large": 1.3,
    "lstm_packed": 1.3,
    "attention_256": 1.5,
}


def describe(name: str) -> str:
    """The workload in words."""
    return (WORKLOADS[name].__doc__ or name).strip().rstrip(".")
