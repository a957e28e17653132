"""Sizes that are not known yet: what is computed of them is written down, what is asked is a guard.

In: several samples of the same sizes.  A `Trace` makes a `Sym` for each size that varies among the
samples; a computation on Syms gives Syms, and a comparison is answered for the last sample and kept
as a guard.  Out: a function from sizes to the numbers that were wanted, which answers None where a
guard does not hold.  Every Sym made by `Trace.size` is 1 or more.

A Sym is no int, and nothing makes it one: code that needs the number itself raises, and whoever
traces it gives up.  Equality is True only if it held for every sample, and is then a guard; that
two sizes differ is no guard, since nothing that asks for equality may depend on there being none:
what is kept apart computes the same.  Level 0.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from typing import Any


class Untraceable(TypeError):
    """The number of a Sym itself was wanted."""


class Guard:
    """A comparison that was asked: `text` of it, with the answer."""

    __slots__ = ("left", "right", "symbol", "holds")

    def __init__(self, left: Any, right: Any, symbol: str, holds: bool) -> None:
        self.left = left
        self.right = right
        self.symbol = symbol
        self.holds = holds


class Sym:
    """One size, or what was computed of sizes.

    key: what it is: ("size", number), or an operation and the keys of its operands, or for a
    product its coefficient and its factors.  samples: its value in each sample.  least: a bound
    that holds for all sizes, or None.  factors: the Syms it is a product of, by their numbers;
    coefficient: the constant factor.
    """

    __slots__ = ("trace", "number", "coefficient", "factors", "samples", "least", "made")

    trace: Trace
    number: int
    coefficient: int
    factors: tuple[int, ...]
    samples: tuple[int, ...]
    least: int | None
    made: tuple

    @property
    def value(self) -> int:
        """In the last sample."""
        return self.samples[-1]

    def __hash__(self) -> int:
        return hash(self.samples[-1])

    def __str__(self) -> str:
        return str(self.samples[-1])

    def __repr__(self) -> str:
        raise Untraceable("a size that varies became part of a name")

    def __index__(self) -> int:
        raise Untraceable("a size that varies was wanted as a number")

    def __bool__(self) -> bool:
        return self != 0

    # ---- arithmetic ----------------------------------------------------------------------------

    def __mul__(self, other):
        if other.__class__ is int:
            if other == 0:
                return 0
            return self.trace.product(self.coefficient * other, self.factors)
        if other.__class__ is Sym:
            factors = tuple(sorted(self.factors + other.factors))
            return self.trace.product(self.coefficient * other.coefficient, factors)
        return NotImplemented

    __rmul__ = __mul__

    def __add__(self, other):
        if other.__class__ is int and other == 0:
            return self
        return self.trace.computed("+", self, other)

    def __radd__(self, other):
        return self + other

    def __sub__(self, other):
        if other.__class__ is Sym and other is self:
            return 0
        return self.trace.computed("-", self, other)

    def __rsub__(self, other):
        return self.trace.computed("-", other, self)

    def __neg__(self):
        return self * -1

    def __abs__(self):
        if self.least is not None and self.least >= 0:
            return self
        return largest([self, -self])

    def __floordiv__(self, other):
        exact = _quotient(self, other)
        return self.trace.computed("//", self, other) if exact is None else exact

    def __rfloordiv__(self, other):
        return self.trace.computed("//", other, self)

    def __mod__(self, other):
        if _quotient(self, other) is not None:
            return 0
        return self.trace.computed("%", self, other)

    def __rmod__(self, other):
        return self.trace.computed("%", other, self)

    # ---- comparisons ---------------------------------------------------------------------------

    def __eq__(self, other) -> Any:
        if other is self:
            return True
        if other.__class__ is Sym:
            if self.samples != other.samples:
                return False
        elif other.__class__ is int:
            for sample in self.samples:
                if sample != other:
                    return False
        else:
            return NotImplemented
        self.trace.asked(self, other, "==", True)
        return True

    def __ne__(self, other) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __lt__(self, other):
        return self.trace.is_less(self, other)

    def __gt__(self, other):
        return self.trace.is_less(other, self)

    def __le__(self, other):
        return not self.trace.is_less(other, self)

    def __ge__(self, other):
        return not self.trace.is_less(self, other)


def _quotient(x: Sym, y) -> Any:
    """x / y where it is exact for all sizes, else None."""
    if y.__class__ is int:
        if y == 0 or x.coefficient % y:
            return None
        return x.trace.product(x.coefficient // y, x.factors)
    if y.__class__ is not Sym or y.least is None or y.least < 1 or x.coefficient % y.coefficient:
        return None
    rest = list(x.factors)
    for factor in y.factors:
        if factor not in rest:
            return None
        rest.remove(factor)
    return x.trace.product(x.coefficient // y.coefficient, tuple(rest))


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "//": operator.floordiv,
    "%": operator.mod,
    "max": max,
    "min": min,
}


class Trace:
    """What was computed of the sizes and asked about them.

    count: samples.  syms: all of them that are no products, by number.
    """

    def __init__(self) -> None:
        self.syms: list[Sym] = []
        self.guards: list[Guard] = []
        self._products: dict[tuple, Sym] = {}
        self._computed: dict[tuple, Sym] = {}
        self._asked: set[tuple] = set()

    def size(self, samples: Sequence[int]) -> Sym:
        """A size that had these values, each at least 1."""
        return self._new(("size",), tuple(samples), 1)

    def _new(self, made: tuple, samples: tuple[int, ...], least: int | None) -> Sym:
        sym = Sym()
        sym.trace = self
        sym.number = len(self.syms)
        sym.coefficient = 1
        sym.factors = (sym.number,)
        sym.samples = samples
        sym.least = least
        sym.made = made
        self.syms.append(sym)
        self._products[1, sym.factors] = sym
        return sym

    def product(self, coefficient: int, factors: tuple[int, ...]) -> Any:
        """The Sym of a product; an int if there are no factors."""
        if not factors:
            return coefficient
        found = self._products.get((coefficient, factors))
        if found is None:
            found = Sym()
            found.trace = self
            found.number = -1
            found.coefficient = coefficient
            found.factors = factors
            found.made = ("*",)
            samples = [coefficient] * len(self.syms[factors[0]].samples)
            least: int | None = coefficient if coefficient > 0 else None
            for number in factors:
                factor = self.syms[number]
                samples = [x * y for x, y in zip(samples, factor.samples)]
                if least is not None:
                    known = factor.least
                    least = None if known is None or known < 0 else least * known
            found.samples = tuple(samples)
            found.least = least
            self._products[coefficient, factors] = found
        return found

    def computed(self, name: str, x, y) -> Sym:
        """The Sym of another operation."""
        if x.__class__ not in (int, Sym) or y.__class__ not in (int, Sym):
            raise Untraceable(f"a size that varies met {type(x).__name__} {type(y).__name__}")
        key = (name, _identity(x), _identity(y))
        found = self._computed.get(key)
        if found is None:
            compute = _OPERATIONS[name]
            count = len((y if x.__class__ is int else x).samples)  # type: ignore[union-attr]
            pairs = zip(_samples(x, count), _samples(y, count))
            try:
                samples = tuple([compute(a, b) for a, b in pairs])
            except ZeroDivisionError:
                raise Untraceable("a size was divided by zero") from None
            found = self._new((name, x, y), samples, _least(name, x, y))
            self._computed[key] = found
        return found

    def asked(self, x, y, symbol: str, holds: bool) -> None:
        """Keep a comparison as a guard."""
        key = (_identity(x), _identity(y), symbol)
        if key not in self._asked:
            self._asked.add(key)
            self.guards.append(Guard(x, y, symbol, holds))

    def is_less(self, x, y) -> bool:
        """x < y, as it is in the last sample unless all sizes agree."""
        if x.__class__ not in (int, Sym) or y.__class__ not in (int, Sym):
            raise Untraceable("a size that varies is compared with something else")
        known = _known_less(x, y)
        if known is not None:
            return known
        holds = _value(x) < _value(y)
        self.asked(x, y, "<", holds)
        return holds

    # ---- results -------------------------------------------------------------------------------

    def function(self, sizes: Sequence[Sym], wanted: Sequence) -> Callable[..., Any]:
        """A function of `sizes` to the tuple of `wanted`, or None where a guard does not hold."""
        names: dict[int, str] = {sym.number: f"n{i}" for i, sym in enumerate(sizes)}
        lines: list[str] = []
        for guard in self.guards:
            text = f"{self._text(guard.left, names, lines)} {guard.symbol} " + self._text(
                guard.right, names, lines
            )
            lines.append(f"if {'not ' if guard.holds else ''}({text}): return None")
        results = [self._text(x, names, lines) for x in wanted]
        body = "\n    ".join([*lines, f"return ({''.join(f'{r}, ' for r in results)})"])
        source = f"def numbers({', '.join(names[sym.number] for sym in sizes)}):\n    {body}\n"
        scope: dict[str, Any] = {}
        exec(compile(source, "<sizes>", "exec"), scope)
        return scope["numbers"]

    def _text(self, x, names: dict[int, str], lines: list[str]) -> str:
        """x as an expression of names; what is computed on the way gets one each."""
        if x.__class__ is int:
            return str(x)
        if x.number < 0:
            factors = [self._text(self.syms[number], names, lines) for number in x.factors]
            product = " * ".join([*([] if x.coefficient == 1 else [str(x.coefficient)]), *factors])
            return f"({product})"
        name = names.get(x.number)
        if name is None:
            operation, left, right = x.made
            first, second = self._text(left, names, lines), self._text(right, names, lines)
            name = names[x.number] = f"t{x.number}"
            if operation in ("max", "min"):
                lines.append(f"{name} = {operation}({first}, {second})")
            else:
                lines.append(f"{name} = {first} {operation} {second}")
        return name

    def broken(self, sizes: Sequence[Sym], numbers: Sequence[int]) -> tuple[str, str]:
        """The first guard that does not hold for other values of `sizes`: what held before, and
        what the numbers are now; ("", "") if all hold."""
        known = {sym.number: number for sym, number in zip(sizes, numbers)}
        for guard in self.guards:
            left, right = self._at(guard.left, known), self._at(guard.right, known)
            holds = left == right if guard.symbol == "==" else left < right
            if holds is not guard.holds:
                be = "was" if guard.holds else "was not"
                word = "equal to" if guard.symbol == "==" else "less than"
                before = f"{_value(guard.left)} {be} {word} {_value(guard.right)}"
                return before, f"they are {left} and {right}"
        return "", ""

    def _at(self, x, known: dict[int, int]) -> int:
        if x.__class__ is int:
            return x
        if x.number < 0:
            result = x.coefficient
            for number in x.factors:
                result *= self._at(self.syms[number], known)
            return result
        if x.number not in known:
            name, left, right = x.made
            known[x.number] = _OPERATIONS[name](self._at(left, known), self._at(right, known))
        return known[x.number]


def surely_less(x, y) -> bool:
    """Whether x < y, without a guard: of sizes that vary, whether it holds for all of them."""
    if x.__class__ is int and y.__class__ is int:
        return x < y
    return _known_less(x, y) is True


def _identity(x) -> Any:
    return x if x.__class__ is int else (x.coefficient, x.factors)


def _samples(x, count: int) -> tuple[int, ...]:
    return (x,) * count if x.__class__ is int else x.samples


def _value(x) -> int:
    return x if x.__class__ is int else x.samples[-1]


def _bound(x) -> int | None:
    return x if x.__class__ is int else x.least


def _least(name: str, x, y) -> int | None:
    """What an operation's result is at least, for all sizes."""
    first, second = _bound(x), _bound(y)
    if name == "max":
        return max([b for b in (first, second) if b is not None], default=None)
    if first is None:
        return None
    if name == "min":
        return None if second is None else min(first, second)
    if name == "+":
        return None if second is None else first + second
    if name == "-":
        return first - y if y.__class__ is int else None
    if name == "//":
        if y.__class__ is int:
            return first // y if y > 0 else None
        return 0 if first >= 0 and second is not None and second > 0 else None
    return 0 if second is not None and second > 0 else None


def _known_less(x, y) -> bool | None:
    """Whether x < y for all sizes; None if that depends on them."""
    if x is y:
        return False
    if y.__class__ is int:
        return False if x.least is not None and x.least >= y else None
    if x.__class__ is int:
        return True if y.least is not None and x < y.least else None
    rest, more = list(y.factors), []
    for factor in x.factors:
        if factor in rest:
            rest.remove(factor)
        else:
            more.append(factor)
    if rest and more:
        return None
    trace = x.trace
    common = set(x.factors) - set(more)
    bounds = [trace.syms[n].least for n in (*common, *rest, *more)]
    if any(b is None or b < 1 for b in bounds) or x.coefficient < 1 or y.coefficient < 1:
        return None
    larger = 1
    for number in rest or more:
        larger *= trace.syms[number].least or 1
    if more:  # x = y's factors and more
        return False if x.coefficient * larger >= y.coefficient else None
    if x.coefficient < y.coefficient * larger:
        return True
    return False if not rest else None


def _known_at_most(x, y) -> bool:
    """Whether x <= y for all sizes, as far as is known."""
    if x is y:
        return True
    if y.__class__ is int:
        return x.__class__ is int and x <= y
    if x.__class__ is int:
        return y.least is not None and x <= y.least
    rest = list(y.factors)
    for factor in x.factors:
        if factor not in rest:
            return False
        rest.remove(factor)
    bounds = [x.trace.syms[number].least for number in y.factors]
    return all(b is not None and b > 0 for b in bounds) and 0 < x.coefficient <= y.coefficient


def which_is_largest(values: Collection) -> Any:
    """The one of several sizes that is the largest: no guard where one of them always is, if only
    by being equal to another."""
    values = list(values)
    found = values[0]
    for value in values[1:]:
        if not _known_at_most(value, found) and (_known_at_most(found, value) or found < value):
            found = value
    return found


def is_likely_less(x, y) -> bool:
    """x < y, which for Syms is answered for the last sample and is no guard: for choices that
    change nothing but speed."""
    return _value(x) < _value(y)


def largest(values: Sequence) -> Any:
    """The largest of ints or Syms; a Sym's comparison is no guard here."""
    return _extreme("max", values)


def smallest(values: Sequence) -> Any:
    """The smallest of ints or Syms; a Sym's comparison is no guard here."""
    return _extreme("min", values)


def _extreme(name: str, values: Sequence) -> Any:
    syms = {_identity(v): v for v in values if v.__class__ is Sym}
    pick = max if name == "max" else min
    plain = [v for v in values if v.__class__ is not Sym]
    if not syms:
        return pick(plain)
    kept = list(syms.values())
    result: Any = pick(plain) if plain else kept.pop()
    for sym in kept:
        less = _known_less(result, sym)
        if less is None:
            result = sym.trace.computed(name, result, sym)
        elif less is (name == "max"):
            result = sym
    return result


def ceiling(x, y) -> Any:
    """x / y, rounded up."""
    return -(-x // y)
