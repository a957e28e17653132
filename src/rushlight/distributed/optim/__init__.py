"""Optimizers whose state is split among processes, of which there is one.  Level 12.

Source: torch.distributed.optim.
"""

from rushlight.distributed.optim.one_process import (
    DistributedOptimizer,
    PostLocalSGDOptimizer,
    ZeroRedundancyOptimizer,
)

__all__ = ["DistributedOptimizer", "PostLocalSGDOptimizer", "ZeroRedundancyOptimizer"]
