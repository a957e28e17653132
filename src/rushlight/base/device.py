"""Devices as values.  The CPU executes, meta infers; others can only be named.  Level 0."""

from __future__ import annotations

import threading
from typing import Any

KNOWN_TYPES = ("cpu", "cuda", "mps", "xpu", "meta")


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

    Raises: AssertionError for CUDA (PyTorch's type and words), RuntimeError for the others.
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
    if found.type == "cuda":
        raise AssertionError(
            "Torch not compiled with CUDA enabled: rushlight executes on the CPU only; "
            "use device='cpu', or test cuda.is_available() first"
        )
    raise RuntimeError(f"device: {found} cannot execute here; rushlight runs on device='cpu' only")
