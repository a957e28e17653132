"""Collation under the name that PyTorch keeps it by.  Level 12."""

import re

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

# Kinds of NumPy's elements that no tensor can hold: text and objects.
np_str_obj_array_pattern = re.compile(r"[SaUO]")
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)
