"""New random tensors: `rand`, `randn`, `randint`, `randperm`, `normal`, `bernoulli`, …

In: sizes and PyTorch's keywords. Out: leaf tensors, drawn when the call is made and in program
order (see `ops/random_fill.py`).  Level 11.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.base.device import device as Device
from rushlight.base.device import resolve_device
from rushlight.base.dtypes import DType, get_default_dtype, int64, widen
from rushlight.base.shapes import broadcast_shapes
from rushlight.ops.generator import Generator, engine_of
from rushlight.ops.random_fill import (
    SCALAR_NAMES,
    Draw,
    bernoulli_draw,
    drawn,
    flips_for,
    integer_draw,
    normal_draw,
    preserved_strides,
    uniform_draw,
)
from rushlight.rng import discrete
from rushlight.rng.multinomial import multinomial as draw_categories
from rushlight.tensor.tensor import Tensor, tensor_from_numpy
