"""Options of PyTorch's tracer: any name can be set and read back; none has an effect.  Level 12."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

suppress_errors = False
verbose = False
cache_size_limit = 8
recompile_limit = 8
accumulated_cache_size_limit = 256
accumulated_recompile_limit = 256
capture_scalar_outputs = False
capture_dynamic_output_shape_ops = False
capture_func_transforms = True
dynamic_shapes = True
assume_static_by_default = True
automatic_dynamic_shapes = True
specialize_int = False
optimize_ddp: bool | str = True
guard_nn_modules = True
inline_inbuilt_nn_modules = True
numpy_default_float = "float64"
error_on_recompile = False
log_level = 30
allow_unspec_int_on_nn_module = False
compiled_autograd = False
force_parameter_static_shapes = True
disable = False


@contextlib.contextmanager
def patch(arg1: Any = None, arg2: Any = None, **kwargs: Any) -> Iterator[None]:
    """Options that hold within the context: a name and a value, a dictionary, or keywords."""
    changes = {**(arg1 if isinstance(arg1, dict) else {}), **kwargs}
    if isinstance(arg1, str):
        changes[arg1] = arg2
    own = vars(sys.modules[__name__])
    missing = object()
    before = {name: own.get(name, missing) for name in changes}
    own.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is missing:
                own.pop(name, None)
            else:
                own[name] = value
