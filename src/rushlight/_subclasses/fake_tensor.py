"""FakeTensor: a shape and a dtype in the place of a tensor.  Level 12.

Here the meta device does that: `empty(2, 3, device="meta")`.  Source: torch._subclasses.
"""

from __future__ import annotations

from typing import Any

from rushlight.tensor.tensor import Tensor

__all__ = ["FakeTensor", "FakeTensorMode", "is_fake"]


class FakeTensor(Tensor):
    """What programs ask for with `isinstance`; none is made."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "FakeTensor: nothing is traced here; use a tensor on the meta device"
        )


class FakeTensorMode:
    """A stretch in which tensors would have no values."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Options are taken, as nothing is done with them before the stretch begins."""

    def __enter__(self) -> FakeTensorMode:
        raise NotImplementedError(
            "FakeTensorMode: nothing is traced here; make tensors with device='meta', or inside of"
            " `with torch.device('meta')`"
        )

    def __exit__(self, *_: object) -> None:
        """Never entered."""


def is_fake(x: object) -> bool:
    """Whether a tensor has no values because a compiler looks at the program: no."""
    return False
