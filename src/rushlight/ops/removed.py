"""Functions that PyTorch removed: their use says what to write instead.  Level 11.

Their names are there as in PyTorch, so that a program stops where it uses one, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from rushlight.ops.spelling import PUBLIC, attach_method

# Name -> (what takes its place, what else is different; whether it was a method, too).
_REMOVED = {
    "eig": ("torch.linalg.eig(A), or eigvals(A)", "Its results are complex", True),
    "symeig": (
        "torch.linalg.eigh(A, UPLO='U' if upper else 'L'), or eigvalsh",
        "The lower triangle is read by default",
        True,
    ),
    "solve": (
        "torch.linalg.solve(A, B)",
        "The arguments are reversed and no LU factorization is returned",
        True,
    ),
    "lstsq": (
        "torch.linalg.lstsq(A, B).solution",
        "The arguments are reversed and residuals are a field of their own",
        True,
    ),
    "matrix_rank": (
        "torch.linalg.matrix_rank(A)",
        "The parameter 'symmetric' is called 'hermitian'",
        False,
    ),
}


def _refusing(name: str, instead: str, difference: str) -> Callable[..., NoReturn]:
    def removed(*arguments: Any, **keywords: Any) -> NoReturn:
        raise RuntimeError(
            f"torch.{name}: this function was deprecated since version 1.9 and is now removed. "
            f"Use {instead} instead. {difference}."
        )

    removed.__name__ = removed.__qualname__ = name
    removed.__doc__ = f"Removed.  Raises: RuntimeError; use {instead}."
    return removed


for _name, (_instead, _difference, _is_method) in _REMOVED.items():
    _function = _refusing(_name, _instead, _difference)
    PUBLIC[_name] = _function
    if _is_method:
        attach_method(_name)(_function)
