"""Collation under the name that PyTorch keeps it by.  Level 12."""

from rushlight.utils.data.collate import (
    collate,
    collate_numpy_array_fn,
    collate_tensor_fn,
    default_collate,
    default_collate_fn_map,
    default_convert,
)

__all__ = [
    "collate", "collate_numpy_array_fn", "collate_tensor_fn", "default_collate",
    "default_collate_fn_map", "default_convert",
]  # fmt: skip
