"""rushlight: PyTorch's programming model in pure Python.

The public names; this file computes nothing.  Level 13.
"""

import rushlight.engine.realize  # noqa: F401 - installs execution under the tape
from rushlight import autograd, backends, cuda, nn, optim, serialization, utils, version
from rushlight.base.device import device
from rushlight.base.dtypes import (
    DType as dtype,
)
from rushlight.base.dtypes import (
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from rushlight.base.dtypes import (
    bool_ as bool,
)
from rushlight.base.dtypes import (
    complex64 as cfloat,
)
from rushlight.base.dtypes import (
    complex128 as cdouble,
)
from rushlight.base.dtypes import (
    float16 as half,
)
from rushlight.base.dtypes import (
    float32 as float,
)
from rushlight.base.dtypes import (
    float64 as double,
)
from rushlight.base.dtypes import (
    int16 as short,
)
from rushlight.base.dtypes import (
    int32 as int,
)
from rushlight.base.dtypes import (
    int64 as long,
)
from rushlight.ops.generator import Generator, default_generator
from rushlight.base.stats import stats as _stats
from rushlight.ops.spelling import PUBLIC
from rushlight.tensor.flush import synchronize
from rushlight.random import (
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from rushlight.serialization import load, save
from rushlight.tensor.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from rushlight.tensor.tensor import Size, Tensor
from rushlight.version import __version__
from rushlight.vjp import rows  # noqa: F401 - fills the table of derivatives

stats = _stats.snapshot
globals().update(PUBLIC)
