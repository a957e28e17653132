"""PyTorch's functions, methods and operators, spelled in primitives.  Level 11.

One section a file; importing this package attaches all methods and operators to Tensor.
"""

from rushlight.ops import (  # noqa: F401 - importing attaches the methods
    access,
    activation,
    alike,
    arithmetic,
    average_pool,
    conv,
    conversion,
    creation,
    diagonals,
    distance_loss,
    dropout,
    indexing,
    interop,
    joining,
    legacy,
    loss,
    matmul,
    norm,
    padding,
    pointwise,
    pool,
    random,
    random_fill,
    ranges,
    reduction,
    shaping,
    splitting,
)
