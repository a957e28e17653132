"""Functions of PyTorch's top level under the name of the module they are written in.  Level 12.

Source: torch.functional.
"""

from rushlight.ops.distances import cdist
from rushlight.ops.einsum import einsum, tensordot
from rushlight.ops.histogram import unravel_index
from rushlight.ops.joining import block_diag, cartesian_prod, meshgrid
from rushlight.ops.linalg import lu
from rushlight.ops.magnitude import norm
from rushlight.ops.matmul import chain_matmul
from rushlight.ops.matrix_norm import pca_lowrank, svd_lowrank
from rushlight.ops.selection import unique, unique_consecutive
from rushlight.ops.shaping import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_shapes,
    broadcast_tensors,
)
from rushlight.ops.short_time import istft, stft
from rushlight.ops.splitting import split

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cdist",
    "chain_matmul",
    "einsum",
    "istft",
    "lu",
    "meshgrid",
    "norm",
    "pca_lowrank",
    "split",
    "stft",
    "svd_lowrank",
    "tensordot",
    "unique",
    "unique_consecutive",
    "unravel_index",
]
