"""Text of a tensor: its values as PyTorch prints them.

In: values as a NumPy array (bfloat16 as its uint16 bits), the dtype, and a few facts about the
tensor (device, requires_grad, name of grad_fn).  Out: a string equal, character for character, to
the one PyTorch prints.  Nothing here reads or changes a tensor; `PRINT_OPTIONS` is the only state.
Level: tensor (10).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rushlight.base.dtypes import (
    DType,
    bool_,
    complex64,
    complex128,
    float32,
    float64,
    int64,
    widen,
)

__all__ = [
    "ElementFormat",
    "PrintOptions",
    "format_tensor",
    "get_printoptions",
    "printoptions",
    "set_printoptions",
]

# Magnitudes at which PyTorch leaves fixed notation for scientific notation.
_LARGEST_FIXED = 1.0e8
_SMALLEST_FIXED = 1.0e-4
_LARGEST_FIXED_RATIO = 1000.0


@dataclasses.dataclass
class PrintOptions:
    """How tensors are printed; the defaults are PyTorch's."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTIONS = PrintOptions()

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed.

    `profile` ("default", "short" or "full") is applied first, the other arguments on top of it.
    `sci_mode` is replaced at every call: None lets each tensor choose, as in PyTorch.
    Source: torch.set_printoptions.
    """
    chosen = dict(_PROFILES.get(profile, {})) if profile is not None else {}
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen.update({name: value for name, value in given.items() if value is not None})
    for name, value in chosen.items():
        setattr(PRINT_OPTIONS, name, value)
    PRINT_OPTIONS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The current options as a dictionary that `set_printoptions` accepts.

    Source: torch._tensor_str.get_printoptions.
    """
    return dataclasses.asdict(PRINT_OPTIONS)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set printing options inside a `with` block and restore the old ones after it.

    Source: torch._tensor_str.printoptions.
    """
    saved = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**saved)


@dataclasses.dataclass(frozen=True)
class ElementFormat:
    """One notation for all elements of a tensor, so that columns line up."""

    notation: str  # "plain" (not floating), "whole", "fixed" or "scientific"
    width: int
    precision: int

    def text(self, value: Any) -> str:
        """`value` in this notation, padded on the left to the common width."""
        if self.notation == "plain":
            digits = str(value)
        elif self.notation == "scientific":
            digits = f"{value:.{self.precision}e}"
        elif self.notation == "fixed":
            digits = f"{value:.{self.precision}f}"
        else:
            digits = f"{value:.0f}"
            if math.isfinite(value):
                digits += "."
        return digits.rjust(self.width)


def _choose_format(values: np.ndarray, floating: bool) -> ElementFormat:
    """The notation and the width that fit all `values`.

    Zeros and non-finite values take part in neither choice; PyTorch leaves them out, so a column of
    `nan` may be wider than the width found here.
    """
    flat = values.reshape(-1)
    precision = PRINT_OPTIONS.precision
    if not floating:
        width = max((len(str(value)) for value in flat.tolist()), default=1)
        return ElementFormat("plain", max(1, width), precision)
    counted = flat[np.isfinite(flat) & (flat != 0)].astype(np.float64)
    if counted.size == 0:
        # PyTorch decides nothing then, not even a forced scientific notation.
        return ElementFormat("whole", 1, precision)
    notation = _floating_notation(counted)
    unpadded = ElementFormat(notation, 0, precision)
    return ElementFormat(notation, max(map(len, map(unpadded.text, counted.tolist()))), precision)


def _floating_notation(counted: np.ndarray) -> str:
    magnitudes = np.abs(counted)
    smallest, largest = float(magnitudes.min()), float(magnitudes.max())
    scientific = PRINT_OPTIONS.sci_mode
    if scientific is None:
        scientific = (
            # The quotient, not a product: at a ratio of just 1000 the rounding decides.
            largest / smallest > _LARGEST_FIXED_RATIO
            or largest > _LARGEST_FIXED
            or smallest < _SMALLEST_FIXED
        )
    if scientific:
        return "scientific"
    if bool(np.all(counted == np.ceil(counted))):
        return "whole"
    return "fixed"


@dataclasses.dataclass(frozen=True)
class _ArrayText:
    """Lays out an array: brackets, line breaks and dots for what is left out."""

    summarize: bool
    real: ElementFormat
    imaginary: ElementFormat | None

    def element(self, value: Any) -> str:
        if self.imaginary is None:
            return self.real.text(value)
        imaginary = self.imaginary.text(value.imag).lstrip() + "j"
        sign = "" if imaginary[0] in "+-" else "+"
        return self.real.text(value.real) + sign + imaginary

    def element_width(self) -> int:
        if self.imaginary is None:
            return self.real.width
        return self.real.width + self.imaginary.width + 1

    def vector(self, values: np.ndarray, indent: int) -> str:
        edge = PRINT_OPTIONS.edgeitems
        if self.summarize and not edge:
            texts = ["..."]
        elif self.summarize and len(values) > 2 * edge:
            texts = [self.element(value) for value in values[:edge].tolist()]
            texts.append(" ...")
            texts.extend(self.element(value) for value in values[-edge:].tolist())
        else:
            texts = [self.element(value) for value in values.tolist()]
        room = PRINT_OPTIONS.linewidth - indent
        per_line = max(1, math.floor(room / (self.element_width() + 2)))  # 2: comma and space
        lines = [
            ", ".join(texts[start : start + per_line]) for start in range(0, len(texts), per_line)
        ]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"

    def array(self, values: np.ndarray, indent: int) -> str:
        if values.ndim == 0:
            return self.element(values.item())
        if values.ndim == 1:
            return self.vector(values, indent)
        edge = PRINT_OPTIONS.edgeitems
        count = len(values)
        if self.summarize and count > 2 * edge:
            rows = [self.array(values[i], indent + 1) for i in range(edge)]
            rows.append("...")
            rows.extend(self.array(values[i], indent + 1) for i in range(count - edge, count))
        else:
            rows = [self.array(row, indent + 1) for row in values]
        separator = "," + "\n" * (values.ndim - 1) + " " * (indent + 1)
        return "[" + separator.join(rows) + "]"


def _corners(values: np.ndarray) -> np.ndarray:
    """The elements that a summary shows; they alone decide notation and width."""
    edge = PRINT_OPTIONS.edgeitems
    for axis, size in enumerate(values.shape):
        if size > 2 * edge:
            shown = [*range(edge), *range(size - edge, size)]
            values = np.take(values, np.asarray(shown, dtype=np.intp), axis=axis)
    return values


def values_text(values: np.ndarray, dtype: DType, indent: int) -> str:
    """The elements, in the notation that suits them all; bfloat16 is given widened."""
    summarize = values.size > PRINT_OPTIONS.threshold
    shown = _corners(values) if summarize else values
    if dtype.is_complex:
        layout = _ArrayText(
            summarize, _choose_format(shown.real, True), _choose_format(shown.imag, True)
        )
    else:
        layout = _ArrayText(summarize, _choose_format(shown, dtype.is_floating_point), None)
    return layout.array(values, indent)


def append_facts(text: str, facts: Sequence[str], indent: int, new_line: bool = False) -> str:
    """Add `facts` after the values, on a new line where the current one would grow too long.

    new_line: the first one stands on a new line in any case.
    """
    # One more than the last line's length: PyTorch counts so, and its line breaks depend on it.
    column = len(text) - text.rfind("\n") + 1
    pieces = [text]
    for fact in facts:
        if new_line or column + len(fact) + 2 > PRINT_OPTIONS.linewidth:
            new_line = False
            pieces.append(",\n" + " " * indent + fact)
            column = indent + len(fact)
        else:
            pieces.append(", " + fact)
            column += len(fact) + 2
    pieces.append(")")
    return "".join(pieces)


def implied_by_values(dtype: DType, default: DType) -> bool:
    """Whether the printed values alone tell `dtype`, so that it is not spelled out."""
    default_complex = complex128 if default is float64 else complex64
    return dtype in (default, default_complex, int64, bool_)


def format_tensor(
    values: np.ndarray | None,
    dtype: DType,
    *,
    shape: Sequence[int] | None = None,
    prefix: str = "tensor(",
    default_dtype: DType = float32,
    device: str | None = None,
    requires_grad: bool = False,
    grad_fn: str | None = None,
) -> str:
    """The text PyTorch prints for a tensor.

    `values` is the tensor's array (bfloat16 as uint16 bits), or None for a tensor without data (the
    meta device), whose `shape` is then printed.  `device` is given only if it is not the default.
    `grad_fn` is the name of the operation that made the tensor, such as "AddBackward0".
    Source: repr of torch.Tensor.
    """
    facts = [] if device is None else [f"device='{device}'"]
    indent = len(prefix)
    if values is None:
        body = "..."
        facts.append(f"size={tuple(shape or ())}")
        if dtype is not default_dtype:
            facts.append(f"dtype={dtype}")
    elif values.size == 0:
        body = "[]"
        if values.ndim != 1:
            facts.append(f"size={values.shape}")
        if dtype is not default_dtype:
            facts.append(f"dtype={dtype}")
    else:
        if not PRINT_OPTIONS.edgeitems:
            facts.append(f"size={values.shape}")
        if not implied_by_values(dtype, default_dtype):
            facts.append(f"dtype={dtype}")
        body = values_text(widen(values, dtype), dtype, indent)
    if grad_fn is not None:
        facts.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        facts.append("requires_grad=True")
    return append_facts(prefix + body, facts, indent)
