"""The order of arguments of PyTorch's first years: factors before what they multiply.

`x.add_(-0.1, grad)`, `x.addcdiv_(-lr, a, b)`, `torch.addmm(0.5, x, 2, a, b)`; programs of that time
are written so, and PyTorch takes it with a warning.  In: the arguments as they came.  Out: as they
are called now.  Level 11.
"""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.tensor.tensor import Tensor

# Functions of which the warning was given.
_warned: set[str] = set()


def _warn(name: str, former: str, present: str) -> None:
    if name in _warned:
        return
    _warned.add(name)
    warnings.warn(
        f"This overload of {name} is deprecated:\n\t{name}({former})\n"
        f"Consider using one of the following signatures instead:\n\t{name}({present})",
        UserWarning,
        stacklevel=4,
    )


def _parted(name: str, args: tuple, tensors: int, numbers: tuple[int, ...]) -> tuple[list, list]:
    """The tensors and the numbers among arguments.  Raises: TypeError for other counts."""
    found = [x for x in args if isinstance(x, Tensor)]
    given = [x for x in args if not isinstance(x, Tensor)]
    fits = all(isinstance(x, (int, float, complex)) for x in given)
    if len(found) != tensors or len(given) not in numbers or not fits:
        kinds = ", ".join(type(x).__name__ for x in args)
        raise TypeError(f"{name}() received an invalid combination of arguments - got ({kinds})")
    return found, given


def sum_of_former(name: str, number: Any, other: Any) -> tuple[Any, Any]:
    """(other, alpha) of `add(input, alpha, other)`."""
    (other,), (alpha,) = _parted(name, (number, other), 1, (1,))
    _warn(name, "Tensor input, Number alpha, Tensor other", "Tensor input, Tensor other, *, alpha")
    return other, alpha


def factors_of_former(name: str, *args: Any) -> tuple[Any, Any, Any]:
    """(tensor1, tensor2, value) of `addcmul(input, value, tensor1, tensor2)`."""
    (first, second), (value,) = _parted(name, args, 2, (1,))
    _warn(
        name, "Tensor input, Number value, Tensor tensor1, Tensor tensor2",
        "Tensor input, Tensor tensor1, Tensor tensor2, *, Number value",
    )  # fmt: skip
    return first, second, value


def product_of_former(name: str, *args: Any) -> tuple[Any, Any, Any, Any, Any]:
    """(input, a, b, beta, alpha) of `addmm(beta, input, alpha, a, b)`, without `alpha`, or with the
    input first, as its method has it."""
    (input, a, b), (beta, *alpha) = _parted(name, args, 3, (1, 2))
    _warn(
        name, "Number beta, Tensor input, Number alpha, Tensor a, Tensor b",
        "Tensor input, Tensor a, Tensor b, *, Number beta, Number alpha",
    )  # fmt: skip
    return input, a, b, beta, alpha[0] if alpha else 1
