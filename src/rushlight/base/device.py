"""Devices as values.  The CPU executes, meta infers; accelerators execute where a back end for
them was installed (`install_resolver`) and finds some.  Level 0.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

ACCELERATORS = ("cuda", "mps", "xpu")
KNOWN_TYPES = ("cpu", *ACCELERATORS, "meta")


class device:  # noqa: N801 - PyTorch's name
    """A device type and an optional index: `device("cpu")`, `device("cuda", 1)`,
    `device("cuda:1")`.

    Raises: RuntimeError for an unknown type or a malformed index.
    """

    __slots__ = ("type", "index")

    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): expected a string, got {type.__class__.__name__}")
        name, colon, number = type.partition(":")
        if colon:
            if index is not None:
                raise RuntimeError(f"device(): {type!r} already has an index, got index={index}")
            if not number.isdecimal():
                raise RuntimeError(f"Invalid device string: {type!r}")
            index = int(number)
        if name not in KNOWN_TYPES:
            raise RuntimeError(
                f"Expected one of {', '.join(KNOWN_TYPES)} device type at start of device "
                f"string: {name}"
            )
        self.type = name
        self.index = index

    def __repr__(self) -> str:
        if self.index is None:
            return f"device(type={self.type!r})"
        return f"device(type={self.type!r}, index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other) -> bool:
        if not isinstance(other, device):
            return NotImplemented
        return self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self):
        return (device, (self.type,) if self.index is None else (self.type, self.index))

    def __enter__(self) -> device:
        """New tensors that no device is named for live here until the block ends."""
        _default.outer.append(_default.device)
        _default.device = resolve_device(self)
        return self

    def __exit__(self, *_: object) -> None:
        _default.device = _default.outer.pop()


CPU = device("cpu")
META = device("meta")
# Of values made of numbers alone, such as a range or a filled tensor before a program names a place
# for it: any device computes them.  It equals the CPU and is told apart by identity.
ANYWHERE = device("cpu")


class _Placing:
    """Whether values live on devices of their own in this process; nothing is placed before.

    Whoever sets it clears the memo: steps made before know the CPU only.
    """

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False


placing = _Placing()

# Device type -> function from a named device to the one object that stands for it.
_resolvers: dict[str, Callable[[device], device]] = {}


def install_resolver(type_: str, resolver: Callable[[device], device]) -> None:
    """Say how devices of a type are found; the resolver raises PyTorch's errors."""
    _resolvers[type_] = resolver


class _Default(threading.local):
    """Where new tensors live, in this thread."""

    def __init__(self) -> None:
        self.device = CPU
        self.outer: list[device] = []


_default = _Default()


def set_default_device(value: Any) -> None:
    """Where new tensors live in this thread; None: on the CPU.  Raises: as `resolve_device`."""
    _default.device = CPU if value is None else resolve_device(value)


def get_default_device() -> device:
    """Where new tensors live in this thread."""
    return _default.device


def resolve_device(value) -> device:
    """The device meant by `value`, checked to be one that works here; None: the default.

    Raises: AssertionError for CUDA without a device (PyTorch's type and words), RuntimeError for
    the others.
    """
    if value is None:
        return _default.device
    if value is CPU:
        return CPU
    found = value if isinstance(value, device) else device(value)
    if found.type == "cpu":
        return CPU
    if found.type == "meta":
        return META
    resolver = _resolvers.get(found.type)
    if resolver is not None:
        return resolver(found)
    raise no_device(found.type)


def no_device(kind: str) -> Exception:
    """What using a kind of device raises where there is none, of PyTorch's type."""
    if kind == "mps":
        return RuntimeError(
            "The MPS backend is not available here: rushlight finds no GPU of Apple's; "
            "use device='cpu', or test backends.mps.is_available() first"
        )
    name = kind.upper()
    return AssertionError(
        f"Torch not compiled with {name} enabled: rushlight finds no {name} device here; "
        f"use device='cpu', or test {kind}.is_available() first"
    )


def different_devices(first: device, second: device, operation: object = "") -> RuntimeError:
    """PyTorch's error for operands that live apart."""
    if first.type == "cpu":
        first, second = second, first
    where = f"{operation}: " if operation else ""
    return RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {first} "
        f"and {second}! ({where}move one of them, with .to({str(first)!r}))"
    )
