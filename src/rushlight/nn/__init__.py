"""Neural networks: parameters, modules, functions, initialization.  Level 12."""

from typing import Any

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

_FACTORY_KEYS = frozenset(("device", "dtype", "memory_format"))


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Keywords of a module's constructor that functions like `torch.empty` take.

    Raises: TypeError for other keywords, and for one given twice.
    Source: torch.nn.factory_kwargs.
    """
    if kwargs is None:
        return {}
    unknown = kwargs.keys() - {*_FACTORY_KEYS, "factory_kwargs"}
    if unknown:
        raise TypeError(f"unexpected kwargs {unknown}")
    made = dict(kwargs.get("factory_kwargs", {}))
    for name in sorted(_FACTORY_KEYS & kwargs.keys()):
        if name in made:
            raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
        made[name] = kwargs[name]
    return made


__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "attention",
    "factory_kwargs",
    "functional",
    "init",
    "modules",
    "parallel",
    "parameter",
    "utils",
    *_module_names,
]
