"""Devices as values.  Today only the CPU executes; other types can be named, not used.  Level 0."""

from __future__ import annotations

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


CPU = device("cpu")


def resolve_device(value) -> device:
    """The device meant by `value`, checked to be one that can execute.

    Raises: AssertionError for CUDA (PyTorch's type and words), RuntimeError for the others.
    """
    if value is None or value is CPU:
        return CPU
    found = value if isinstance(value, device) else device(value)
    if found.type == "cpu":
        return CPU
    if found.type == "cuda":
        raise AssertionError(
            "Torch not compiled with CUDA enabled: rushlight executes on the CPU only; "
            "use device='cpu', or test cuda.is_available() first"
        )
    raise RuntimeError(f"device: {found} cannot execute here; rushlight runs on device='cpu' only")
