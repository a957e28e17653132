"""What a launch must pass to a kernel, collected while its expressions are made.  Level 6.

Sizes, strides, offsets and numbers become run-time parameters (0 and 1 stay constants, since they
change the structure), so that kernels of one structure are compiled once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.base.symbolic import Sym
from rushlight.loopnest.ir import Const, Expr, Param
from rushlight.lowering.scalars import HALF, as_dtype
from rushlight.tape.program import Value


@dataclass(frozen=True)
class Word:
    """One parameter of a launch: a number of the plan, or the scalar leaf at `slot`."""

    value: Any
    slot: int | None


class Arguments:
    """The buffers and parameters of one kernel.

    buffer_names: by slot, in the order of the kernel's buffers.  words: the values of `params`.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was collected: another kernel is made from now on."""
        self.buffer_names: dict[int, str] = {}
        self.params: list[Param] = []
        self.words: list[Word] = []
        self.scalars: dict[int, Param] = {}

    def size(self, number: int) -> Expr:
        """A size, stride or start as an expression."""
        if number == 0:
            return Const(0, "int64")
        return Const(1, "int64") if number == 1 else self.extent(number)

    def count(self, number: int) -> Expr:
        """A number of elements, at least 1, that others are divided by."""
        return Const(1, "int64") if number == 1 else self._word(number, counts=True)

    def extent(self, number: int) -> Param:
        """A number of iterations: a parameter even if it is 1, since nothing is simpler then."""
        return self._word(number)

    def _word(self, number: int, counts: bool = False) -> Param:
        param = Param(f"n{len(self.params)}", counts=counts)
        self.params.append(param)
        self.words.append(Word(number if number.__class__ is Sym else int(number), None))
        return param

    def buffer(self, slot: int) -> str:
        """The name of a value's buffer."""
        return self.buffer_names.setdefault(slot, f"b{len(self.buffer_names)}")

    def scalar(self, value: Value) -> Expr:
        """A scalar leaf as a parameter."""
        param = self.scalars.get(value.slot)
        if param is None:
            name = value.dtype.name
            param = Param(f"s{len(self.params)}", "float32" if name in HALF else name)
            self.params.append(param)
            self.words.append(Word(None, value.slot))
            self.scalars[value.slot] = param
        return as_dtype(param, value.dtype.name)
