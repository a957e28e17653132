"""Operations that read values, under vmap: once for each member of the batch.

In: a function of tensors that reads them and has no derivative.  Out: the same function, which
under vmap runs on one member after the other and gives a batch of what it made.  Level 11.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.tape.tape import current_tape
from rushlight.tensor.tensor import Tensor


def read(function: Callable[..., Any], *tensors: Tensor) -> Any:
    """function(*tensors): a tensor, or a tuple of them, of one shape for all members."""
    transforms = current_tape().transforms
    return function(*tensors) if transforms is None else transforms.by_member(function, tensors)


def each_member(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of an operation that reads its tensors; results differ in values only."""

    @functools.wraps(function)
    def operation(*args: Any, **kwargs: Any) -> Any:
        if current_tape().transforms is None:
            return function(*args, **kwargs)
        given = [*args, *kwargs.values()]
        places = [place for place, value in enumerate(given) if isinstance(value, Tensor)]

        def on(*tensors: Tensor) -> Any:
            values = list(given)
            for place, tensor in zip(places, tensors):
                values[place] = tensor
            return function(*values[: len(args)], **dict(zip(kwargs, values[len(args) :])))

        return read(on, *[given[place] for place in places])

    return operation
