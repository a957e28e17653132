"""Neural networks: parameters, modules, functions, initialization.  Level 12."""

from rushlight.nn import attention, functional, init, modules, parallel, parameter, utils
from rushlight.nn.modules import *  # noqa: F403 - the families list their own names
from rushlight.nn.modules import __all__ as _module_names
from rushlight.nn.parallel import DataParallel
from rushlight.nn.parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
)

__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "attention",
    "functional",
    "init",
    "modules",
    "parallel",
    "parameter",
    "utils",
    *_module_names,
]
