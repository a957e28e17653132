"""Options of `LinearCrossEntropyLoss`.  Level 12.

In PyTorch they choose how the logits are cut into chunks; no value depends on them beyond rounding.
Here the logits are one value of the tape, so the options are checked and kept, nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.dtypes import DType

POLICIES = ("auto", "accurate", "balanced", "compact")


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch cuts the logits into chunks.  Raises: ValueError for options it does not know."""

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: DType | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in POLICIES:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto"):
            name, _, factor = self.chunking_method.partition(":")
            if name != "aspect_ratio" or not (factor or "1").isdigit() or factor == "0":
                raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_dtype is not None and not self.acc_dtype.is_floating_point:
            raise ValueError(f"acc_dtype must be a floating-point dtype, got {self.acc_dtype!r}")
