"""How products of float32 matrices may be rounded on devices that have faster ways.  Level 0."""

from __future__ import annotations


class _Precision:
    """tf32: whether operands may be cut to TF32, 10 bits of mantissa, for tensor cores.

    Whoever changes it clears the memo: plans are made under it.
    """

    __slots__ = ("tf32",)

    def __init__(self) -> None:
        self.tf32 = False


precision = _Precision()
