"""Splitting a module's layers over a mesh.  Level 12.

In one process a layer is split into one piece: its parameters are put on the mesh with the
placements of the style, its inputs and outputs are tensors of the layout that the style names.
Source: torch.distributed.tensor.parallel.
"""

from rushlight.distributed.tensor.parallel.api import loss_parallel, parallelize_module
from rushlight.distributed.tensor.parallel.style import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    PrepareModuleInputOutput,
    PrepareModuleOutput,
    RowwiseParallel,
    SequenceParallel,
)

__all__ = [
    "ColwiseParallel", "ParallelStyle", "PrepareModuleInput", "PrepareModuleInputOutput",
    "PrepareModuleOutput", "RowwiseParallel", "SequenceParallel", "loss_parallel",
    "parallelize_module",
]  # fmt: skip
