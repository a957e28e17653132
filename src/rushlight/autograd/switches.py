"""Switches of PyTorch's engine of gradients, which change no result here.  Level: autograd (12)."""

from __future__ import annotations

import contextlib


class _Switch(contextlib.ContextDecorator):
    """Kept from its making until its context ends."""

    def __init__(self, mode: bool = True) -> None:
        self.mode = bool(mode)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None


class set_multithreading_enabled(_Switch):  # noqa: N801 - PyTorch's name
    """Whether backward may use several threads: its kernels do, and give the same either way."""

    def clone(self) -> set_multithreading_enabled:
        """Another switch of this kind."""
        return type(self)(self.mode)


class enforce_grad_layout_policy(_Switch):  # noqa: N801 - PyTorch's name
    """Whether gradients have their parameters' strides: they keep what the program gave them."""

    def clone(self) -> enforce_grad_layout_policy:
        """Another switch of this kind."""
        return type(self)(self.mode)
