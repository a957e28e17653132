"""PyTorch's functions, methods and operators, spelled in primitives.  Level 11.

One section a file; importing this package attaches all methods and operators to Tensor.
"""

from importlib.util import find_spec
from typing import Any

from rushlight.ops import (  # noqa: F401 - importing attaches the methods
    access,
    activation,
    alike,
    arithmetic,
    attention,
    average_pool,
    binary,
    branches,
    comparison,
    complex,
    conv,
    conversion,
    creation,
    ctc,
    diagonals,
    distance_loss,
    distances,
    dropout,
    einsum,
    embedding,
    extremum,
    foreach,
    fractional_pool,
    gamma_numbers,
    grid,
    grouped,
    hashing,
    histogram,
    householder,
    indefinite,
    indexing,
    interop,
    joining,
    legacy,
    linalg,
    linear_loss,
    lobpcg,
    loss,
    magnitude,
    matmul,
    matrix_norm,
    memory,
    norm,
    ordering,
    padding,
    pointwise,
    pool,
    quantized_names,
    random,
    random_fill,
    ranges,
    rearranging,
    reduction,
    registry,
    removed,
    resampling,
    scan,
    scatter,
    segments,
    selection,
    shaping,
    short_time,
    sparse_names,
    special,
    splitting,
    statistics,
    top_forms,
)
from rushlight.ops.functions import FUNCTIONS_OF_METHODS  # noqa: F401 - makes them public
from rushlight.ops.registry import load_library  # noqa: F401 - `torch.ops.load_library`


def __getattr__(name: str) -> Any:
    """`torch.ops.<namespace>`: the operators that programs register."""
    if name.startswith("__") or find_spec(f"{__name__}.{name}") is not None:
        raise AttributeError(name)  # one of this folder's files, which `import` then finds
    return registry.namespace(name)
