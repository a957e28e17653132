"""Results that the host computed from a tensor's values go to that tensor's device.  Level 11."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.base.device import ACCELERATORS, ANYWHERE, placing
from rushlight.tensor.placing import beside
from rushlight.tensor.tensor import Tensor


def beside_input(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose results live where its first operand of a device lives."""

    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        result = function(*arguments, **keywords)
        if placing.begun:
            for operand in (*arguments, *keywords.values()):
                if isinstance(operand, Tensor) and operand.device.type in ACCELERATORS:
                    return _brought(result, operand)
        return result

    return wrapper


def _brought(result: Any, operand: Tensor) -> Any:
    if isinstance(result, Tensor):
        return beside(result, operand) if result._node.step.device is ANYWHERE else result
    if isinstance(result, (tuple, list)):
        parts = [_brought(part, operand) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return result
