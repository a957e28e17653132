"""Transforms of functions, as `torch.func`: derivatives, vectorisation, modules as functions.

Level: func, in the library.
"""

from rushlight.func.derivatives import grad, grad_and_value, linearize, vjp
from rushlight.func.jacobians import hessian, jacfwd, jacrev, jvp
from rushlight.func.rearranging import rearrange
from rushlight.func.state import (
    debug_unwrap,
    functional_call,
    functionalize,
    replace_all_batch_norm_modules_,
    stack_module_state,
)
from rushlight.func.vectorization import vmap

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
