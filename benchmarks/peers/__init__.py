"""The workloads written by hand for libraries with interfaces of their own.

Each module has `build(name, threads, arrays)`, which gives a `Job` that starts from the arrays in
that file and computes the same losses as the PyTorch source.
"""

from __future__ import annotations


class NotWritten(NotImplementedError):
    """A workload without an equivalent for this peer."""

    def __init__(self, peer: str, name: str) -> None:
        super().__init__(f"{name} is not written for {peer}")


HEADS = {"gpt_small": 4, "gpt_medium": 6}
LEARNING_RATE, BETAS, EPS, DECAY = 1e-3, (0.9, 0.999), 1e-8, 1e-2
LAYER_NORM_EPS = 1e-5
