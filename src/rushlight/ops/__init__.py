"""PyTorch's functions, methods and operators, spelled in primitives.  Level 11.

One section a file; importing this package attaches all methods and operators to Tensor.
"""

from rushlight.ops import (  # noqa: F401 - importing attaches the methods
    access,
    alike,
    arithmetic,
    conversion,
    creation,
    diagonals,
    dropout,
    indexing,
    interop,
    joining,
    legacy,
    pointwise,
    random,
    random_fill,
    ranges,
    reduction,
    shaping,
    splitting,
)
