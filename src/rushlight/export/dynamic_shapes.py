"""Sizes of an exported program that may differ from the example's: `torch.export.Dim`.

In: what a program says of its inputs' sizes.  Out: for each input and axis an expression in the
symbols, whose values a call's inputs give.  Level: export (12).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from rushlight.fx.recording import tensors_in
from rushlight.tensor.tensor import Tensor

__all__ = ["Dim", "ShapesCollection", "dims"]


class DimHint:
    """What is said of a size without giving it a name.

    kind: AUTO may change if it can; DYNAMIC must be able to; STATIC is the example's.
    """

    def __init__(self, kind: str, min: int | None = None, max: int | None = None) -> None:  # noqa: A002
        self.kind, self.min, self.max = kind, min, max

    def __call__(self, min: int | None = None, max: int | None = None) -> DimHint:  # noqa: A002
        if min is not None and min < 0:
            raise AssertionError(f"min must be non-negative, got {min}")
        return DimHint(self.kind, min, max)

    def __repr__(self) -> str:
        bounds = [f"{n}={v}" for n, v in (("min", self.min), ("max", self.max)) if v is not None]
        return f"DimHint({', '.join([self.kind, *bounds])})"


class Dim:
    """A size that may change, known by its name: the same name is the same size everywhere.

    min, max: bounds of it.  Sizes that follow from it are written `2 * dim`, `dim + 1`.
    Raises: AssertionError for a name that is none, or bounds that exclude each other.
    Source: torch.export.Dim.
    """

    AUTO = DimHint("AUTO")
    DYNAMIC = DimHint("DYNAMIC")
    STATIC = DimHint("STATIC")

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None) -> None:  # noqa: A002
        low = 0 if min is None else min
        if max is not None and max <= low:
            raise AssertionError(f"Cannot create Dim with inconsistent min={min}, max={max}")
        if not name.isidentifier():
            raise AssertionError(f"Dim name must be a valid identifier, got {name}")
        self.__name__ = name
        self.min = low
        self.max = math.inf if max is None else max

    # A size that follows from another: factor * root + offset.
    @property
    def root(self) -> Dim:
        """The size it follows from: itself."""
        return self

    factor = 1
    offset = 0

    def _derived(self, factor: int, offset: int) -> Dim:
        return _DerivedDim(self.root, self.factor * factor, self.offset * factor + offset)

    def __add__(self, other: int) -> Dim:
        return self._derived(1, _integer("+", other))

    __radd__ = __add__

    def __sub__(self, other: int) -> Dim:
        return self._derived(1, -_integer("-", other))

    def __mul__(self, other: int) -> Dim:
        factor = _integer("*", other)
        if factor <= 0:
            raise NotImplementedError(f"Attempted to multiply {self.__name__} by {other}")
        return self._derived(factor, 0)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        bounds = [f"min={self.min}"] if self.min > 0 else []
        bounds += [f"max={self.max}"] if self.max != math.inf else []
        return f"Dim({', '.join([repr(self.__name__), *bounds])})"


def _integer(sign: str, value: Any) -> int:
    if type(value) is not int:
        raise NotImplementedError(f"a Dim {sign} {value!r}: the other operand is an integer")
    return value


class _DerivedDim(Dim):
    def __init__(self, root: Dim, factor: int, offset: int) -> None:
        self._root, self.factor, self.offset = root, factor, offset
        product = root.__name__ if factor == 1 else f"{factor}*{root.__name__}"
        self.__name__ = product + (f" {'+' if offset > 0 else '-'} {abs(offset)}" if offset else "")
        self.min = max(0, factor * root.min + offset)
        self.max = factor * root.max + offset

    @property
    def root(self) -> Dim:
        return self._root

    def __repr__(self) -> str:
        return self.__name__


def dims(*names: str, min: int | None = None, max: int | None = None) -> tuple[Dim, ...]:  # noqa: A002
    """A Dim for each name, all with these bounds."""
    return tuple(Dim(name, min=min, max=max) for name in names)


class ShapesCollection:
    """What is said of sizes, by tensor: `shapes[x] = {0: dim}`."""

    def __init__(self) -> None:
        self._shapes: dict[int, Any] = {}

    def __setitem__(self, tensor: Tensor, shape: Any) -> None:
        if id(tensor) in self._shapes and self._shapes[id(tensor)] != shape:
            raise AssertionError(f"Shapes assigned to input {tensor} differ: {shape}")
        self._shapes[id(tensor)] = shape

    def __getitem__(self, tensor: Tensor) -> Any:
        return self._shapes.setdefault(id(tensor), {})

    def __len__(self) -> int:
        return len(self._shapes)

    def dynamic_shapes(
        self, m: Any, args: tuple, kwargs: dict[str, Any] | None = None
    ) -> list[Any]:
        """The same by the places of the tensors in the arguments, in order."""
        return [self._shapes.get(id(x)) for x in tensors_in((args, dict(kwargs or {})))]


# ---- symbols and expressions ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ValueRange:
    """The values that a symbol may have; `upper` is an integer or infinite."""

    lower: int
    upper: float

    def __repr__(self) -> str:
        return f"VR[{self.lower}, {'int_oo' if self.upper == math.inf else int(self.upper)}]"


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A size that a call's inputs give.

    label: the name that the program gave it, or where it stands.  required: whether a graph in
    which it cannot change is an error.
    """

    name: str
    label: str
    required: bool = True

    def __repr__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True)
class Term:
    """(factor * symbol + offset) // divisor."""

    symbol: Symbol
    factor: int = 1
    offset: int = 0
    divisor: int = 1

    def at(self, value: int) -> int:
        """Its value where the symbol has this one."""
        return (self.factor * value + self.offset) // self.divisor

    def inverse(self, size: int) -> int | None:
        """The symbol's value for which it is `size`; None if none is.  Without a divisor."""
        value, rest = divmod(size - self.offset, self.factor)
        return None if rest else value

    def __repr__(self) -> str:
        text = self.symbol.name if self.factor == 1 else f"{self.factor}*{self.symbol.name}"
        if self.offset:
            text += f" {'+' if self.offset > 0 else '-'} {abs(self.offset)}"
        return text if self.divisor == 1 else f"({text})//{self.divisor}"


@dataclasses.dataclass(frozen=True)
class Expression:
    """The product of terms, or their sum."""

    terms: tuple[Term, ...]
    product: bool = True

    def at(self, point: dict[Symbol, int]) -> int:
        """Its value where the symbols have these."""
        values = [term.at(point[term.symbol]) for term in self.terms]
        return math.prod(values) if self.product else sum(values)


Point = dict[Symbol, int]


def solved(values: list[int], points: list[Point]) -> Expression | None:
    """The expression that has these values at these points; None if none is found.

    points: the example's, then some that differ from it in one symbol, then one that differs in
    all of them.
    """
    base = points[0]
    seen: dict[Symbol, list[tuple[int, int]]] = {}
    for point, value in zip(points[1:-1], values[1:-1]):
        (symbol,) = [s for s in base if point[s] != base[s]]
        seen.setdefault(symbol, [(base[symbol], values[0])]).append((point[symbol], value))
    changed = {s: pairs for s, pairs in seen.items() if any(v != values[0] for _, v in pairs)}
    for candidate in _candidates(changed, values[0]):
        if all(candidate.at(p) == v for p, v in zip(points, values)):
            return candidate
    return None


def _candidates(changed: dict[Symbol, list[tuple[int, int]]], first: int) -> Iterator[Expression]:
    symbols = list(changed)
    if symbols:
        for terms in _products(changed, symbols, first):
            yield Expression(tuple(terms))
    if len(symbols) > 1:
        # Each term but the first is 0 for the example's sizes.
        parts = [[(x, v - first * (i > 0)) for x, v in changed[s]] for i, s in enumerate(symbols)]
        found = [next(_terms(s, pairs), None) for s, pairs in zip(symbols, parts)]
        yield Expression(tuple(term for term in found if term is not None), product=False)


def _products(
    changed: dict[Symbol, list[tuple[int, int]]], symbols: list[Symbol], rest: int
) -> Iterator[list[Term]]:
    """Terms whose product is `rest` for the example's sizes, and changes as the values do.

    The first is the largest factor it can be: it takes what does not depend on the others.
    """
    symbol, *others = symbols
    first = changed[symbol][0][1]
    for share in range(1, abs(rest) + 1) if others else [1]:
        # The others' product is `share`.
        if rest % share or any(v * rest % (first * share) for _, v in changed[symbol]):
            continue
        pairs = [(x, v * rest // (first * share)) for x, v in changed[symbol]]
        for term in _terms(symbol, pairs):
            for terms in _products(changed, others, share) if others else [[]]:
                yield [term, *terms]
            break


def _terms(symbol: Symbol, pairs: list[tuple[int, int]]) -> Iterator[Term]:
    """Terms that have these values, those without a division first."""
    (x0, v0), (x1, v1) = pairs[0], max(pairs[1:], key=lambda pair: abs(pair[0] - pairs[0][0]))
    slope = Fraction(v1 - v0, x1 - x0)
    for divisor in sorted({1, slope.denominator, 2, 3, 4, 8, 16, 32}):
        for factor in sorted({round(slope * divisor), 1} if divisor > 1 else {round(slope)}):
            low = v0 * divisor - factor * x0
            for offset in range(low, low + divisor) if factor else ():
                term = Term(symbol, factor, offset, divisor)
                if all(term.at(x) == v for x, v in pairs):
                    yield term


# ---- what is said of the inputs ------------------------------------------------------------------


def said_of(
    inputs: dict[str, Any], said: Any, error: Callable[[str], Exception]
) -> list[dict[int, Any]]:
    """For each tensor of the inputs, in order, what is said of its axes.

    inputs: arguments by their names.  Raises: what `error` makes of a sentence.
    """
    if isinstance(said, dict):
        if set(said) != set(inputs):
            raise error(
                "When `dynamic_shapes` is specified as a dict, its top-level keys must be the arg"
                f" names {list(inputs)} of `inputs`, but here they are {list(said)}"
            )
        said = [said[name] for name in inputs]
    if len(said) != len(inputs):
        raise error(
            f"dynamic_shapes has {len(said)} entries for the {len(inputs)} inputs {list(inputs)}"
        )
    found: list[dict[int, Any]] = []
    for (name, value), one in zip(inputs.items(), said):
        _collect(value, one, name, found, error)
    return found


def _collect(
    value: Any, said: Any, where: str, found: list, error: Callable[[str], Exception]
) -> None:
    if isinstance(value, Tensor):
        found.append(_axes(value, said, where, error))
    elif isinstance(value, dict):
        for key, part in value.items():
            _collect(part, said and said[key], f"{where}[{key!r}]", found, error)
    elif isinstance(value, (list, tuple)):
        if said is not None and len(said) != len(value):
            raise error(
                f"dynamic_shapes: {where} has {len(value)} entries, and {len(said)} are described"
            )
        for place, part in enumerate(value):
            _collect(part, said and said[place], f"{where}[{place}]", found, error)
    elif said is not None:
        raise error(f"dynamic_shapes: {where} is no tensor, and has no sizes; describe it by None")


def _axes(
    tensor: Tensor, said: Any, where: str, error: Callable[[str], Exception]
) -> dict[int, Any]:
    if said is None:
        return {}
    if isinstance(said, (list, tuple)):
        if len(said) != tensor.dim():
            raise error(
                f"dynamic_shapes: {where} has {tensor.dim()} axes, and {len(said)} are described"
            )
        said = dict(enumerate(said))
    found = {}
    for axis, one in said.items():
        if type(axis) is not int or not -tensor.dim() <= axis < tensor.dim():
            raise error(f"dynamic_shapes: {where} has no axis {axis!r}")
        axis %= tensor.dim()
        if isinstance(one, int) and not isinstance(one, bool):
            if one != tensor.shape[axis]:
                raise error(
                    f"Static shape constraint of {one} does not match input size of"
                    f" {tensor.shape[axis]}, for {where}.shape[{axis}]"
                )
            continue
        if one is None or (isinstance(one, DimHint) and one.kind == "STATIC"):
            continue
        if not isinstance(one, (Dim, DimHint)):
            raise error(f"dynamic_shapes: {where}.shape[{axis}] is a Dim, an int or None: {one!r}")
        found[axis] = one
    return found
