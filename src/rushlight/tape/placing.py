"""Where the result of an operation lives, from where its operands do.  Level 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.base.device import ANYWHERE, CPU, META, device, different_devices
from rushlight.tape.primitive import Primitive


def device_of_result(primitive: Primitive, inputs: Sequence[Any], params: tuple) -> device:
    """The device of an operation's results.

    Operands made of numbers alone, and 0-d tensors of the CPU, go with any other.
    Raises: RuntimeError, PyTorch's, for operands that live on different devices.
    """
    if primitive.target is not None:
        return params[primitive.target]
    found: device | None = None
    with_number = False
    for operand in inputs:
        place = operand.device
        if place is META:
            return META
        if place is ANYWHERE or place is found:
            continue
        if place is CPU and operand.shape == ():
            with_number = True
        elif found is None:
            found = place
        else:
            raise different_devices(found, place, primitive)
    if found is not None:
        return found
    return CPU if with_number else ANYWHERE
