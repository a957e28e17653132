"""Forward differentiation with dual numbers, as `torch.autograd.forward_ad`.

Inside a `dual_level`, tensors made by `make_dual` carry a tangent, and so does what is
computed from them.  Level: autograd (12).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from rushlight.tensor.tensor import Tensor
from rushlight.transform.forward import ForwardLevel, check_tangent
from rushlight.transform.interception import Entered, active_levels, enter, leave


class UnpackedDualTensor(NamedTuple):
    """A value and its tangent, which is None for a tensor without one."""

    primal: Tensor
    tangent: Tensor | None


class _DualLevel(ForwardLevel):
    """One that programs enter by themselves."""

    is_function = False


_entered: list[Entered] = []


def _innermost() -> Entered | None:
    for entered in reversed(_entered):
        if entered.level in active_levels():
            return entered
    return None


def enter_dual_level() -> int:
    """Begin a level; returns its number, 0.

    Raises: RuntimeError inside another one, as PyTorch; `func.jvp` can be nested.
    """
    if _innermost() is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _entered.append(enter(_DualLevel()))
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level; its tangents are forgotten.

    Raises: RuntimeError if there is none, or if it is not the one of that number.
    """
    entered = _innermost()
    if entered is None:
        raise RuntimeError("Dual level must be a positive number: no level was entered.")
    if level not in (None, 0):
        raise RuntimeError(
            f"Trying to exit a forward AD level that was not the last one that was created: level "
            f"{level}, and the last one is 0"
        )
    _entered.remove(entered)
    leave(entered)


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A tensor with `tensor`'s value that carries `tangent`, of the same shape.

    Raises: RuntimeError outside a level, for another shape, or for a tensor that has a tangent;
    ValueError for integers.  Source: torch.autograd.forward_ad.make_dual.
    """
    entered = _innermost()
    if entered is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    check_tangent(tensor, tangent)
    found: Any = entered.level
    if found.tangent_of(tensor) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            f"same level {level or 0} is not supported."
        )
    return found.dual(entered.transforms, tensor, tangent)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """(value, tangent) of a tensor; outside a level, and without one, the tangent is None.

    Source: torch.autograd.forward_ad.unpack_dual.
    """
    entered = _innermost()
    if entered is None:
        return UnpackedDualTensor(tensor, None)
    found: Any = entered.level
    return UnpackedDualTensor(found.primal_of(entered.transforms, tensor), found.tangent_of(tensor))


class dual_level:  # noqa: N801 - PyTorch's name
    """A context, and a decorator, in which duals exist.  Source: torch.autograd.forward_ad."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc_info: Any) -> None:
        exit_dual_level()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with dual_level():
                return function(*args, **kwargs)

        return inside
