"""Switches of CUDA's libraries, kept for the scripts that set them.  Level 12."""

from __future__ import annotations


class MatmulSwitches:
    """How CUDA's matrix products may round; has no effect without CUDA."""

    def __init__(self) -> None:
        self.allow_tf32 = False
        self.allow_fp16_reduced_precision_reduction = True
        self.allow_bf16_reduced_precision_reduction = True


matmul = MatmulSwitches()


def is_built() -> bool:
    """Whether rushlight has code for CUDA: no."""
    return False
