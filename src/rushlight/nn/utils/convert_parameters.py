"""All parameters as one vector, and back.  Level 12."""

from __future__ import annotations

from collections.abc import Iterable

from rushlight.ops.joining import cat
from rushlight.tensor.tensor import Tensor


def _check_one_device(parameters: list[Tensor]) -> None:
    if len({parameter.device for parameter in parameters}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters, in order.  Raises: TypeError if devices differ."""
    found = list(parameters)
    _check_one_device(found)
    return cat([parameter.reshape(-1) for parameter in found])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set the parameters' values from a vector as `parameters_to_vector` makes it."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    found = list(parameters)
    _check_one_device(found)
    start = 0
    for parameter in found:
        end = start + parameter.numel()
        parameter.data = vec[start:end].view_as(parameter).data
        start = end
