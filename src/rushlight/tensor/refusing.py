"""Tensors without an array, and nodes of values that operations of the tape cannot read.

A sparse or a quantized tensor has a shape and a dtype like any other, but no array: where an
operation wants one it gets PyTorch's error, with the way out.  Level 10.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import DType
from rushlight.tape.memo import BUFFER, leaf_spec, user_line
from rushlight.tape.node import Node
from rushlight.tensor.known_classes import FIRST_INSTANCE, KNOWN_CLASSES


def without_array(cls: type, node: Any, edge: Any = None) -> Any:
    """A tensor of such a class, with its node and what it was computed by; none of its memory."""
    if cls not in KNOWN_CLASSES:
        for told in FIRST_INSTANCE:
            told(cls)
    made: Any = object.__new__(cls)
    made._node, made._grad_fn = node, edge
    made._storage = made._layout = made._base = made._grad = None
    made._seen = 0
    return made


class RefusingNode(Node):
    """Facts, and a refusal where an operation wants the value.

    backend: what PyTorch's message calls such tensors.  repair: what such an operation has no form
    for, and what to do instead.
    """

    __slots__ = ("backend", "repair")

    def __init__(self, shape: tuple[int, ...], dtype: DType, backend: str, repair: str) -> None:
        self.describe(leaf_spec(BUFFER, shape, dtype), shape, dtype)
        self.backend = backend
        self.repair = repair

    def read(self) -> None:
        """Raises: NotImplementedError, PyTorch's for operations without such a form."""
        line = user_line()
        name = "this operation" if line is None or not line.spelling else f"'aten::{line.spelling}'"
        raise NotImplementedError(
            f"Could not run {name} with arguments from the '{self.backend}' backend: it has no "
            f"form for {self.repair}"
        )

    def take_over(self, tape: Any) -> bool:
        """Nobody records the operation in another way: the value is asked for, and refused."""
        return False

    def check_alive(self) -> None:
        """Such tensors belong to no function transform."""
