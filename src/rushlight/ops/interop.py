"""Sharing memory with NumPy and DLPack, and print options, under their public names.

Importing this module also attaches hooks, pickling and deepcopy to Tensor.  Level 11.
"""

from __future__ import annotations

from rushlight.ops.spelling import PUBLIC
from rushlight.tensor import (  # noqa: F401 - attach methods
    dlpack,
    hooks,
    interop,
    notebook,
    pickling,
    printing,
)

PUBLIC["from_numpy"] = interop.from_numpy
PUBLIC["from_dlpack"] = dlpack.from_dlpack
PUBLIC["to_dlpack"] = dlpack.to_dlpack
PUBLIC["set_printoptions"] = printing.set_printoptions
