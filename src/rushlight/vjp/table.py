"""The table of vector-Jacobian products.

A row has one rule for each operand: a function of (cotangent, result, operands…, parameters…) that
gives that operand's cotangent, written in primitives so that it can be differentiated again.
Operands and result that the rule did not announce in `reads` come as `Operand` (shape and dtype
only).  For complex values the cotangent is PyTorch's: the conjugate of the derivative's.  Level 4.
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.tape.primitive import VARIADIC, Primitive, RuleTable

rules = RuleTable("vjp")

# Name of the result in `reads`; operands are named by their position.
OUT = "out"


class ArgumentRule:
    """The rule of one operand, and which values it reads: a tuple, or a function of the params."""

    __slots__ = ("function", "reads")

    def __init__(self, function: Callable, reads) -> None:
        self.function = function
        self.reads = reads

    def reads_for(self, params: tuple) -> tuple:
        """What is read, given the parameters."""
        return self.reads(params) if callable(self.reads) else self.reads


def wrt(function: Callable, *reads) -> ArgumentRule:
    """A rule reading the operands at these positions (and the result, if OUT is among them)."""
    return ArgumentRule(function, reads)


def wrt_reading(function: Callable, reads: Callable) -> ArgumentRule:
    """A rule whose reads depend on the parameters: `reads(params)`."""
    return ArgumentRule(function, reads)


class Vjp:
    """The row of one primitive: rules by operand, None where there is no derivative.

    unchecked: reads that PyTorch's rule does not have.  Overwriting such a value is an error there
        in no program, so it must be none here; the kept value itself never changes.
    """

    __slots__ = ("rules", "all_operands", "unchecked", "_masks")

    def __init__(
        self, argument_rules, all_operands: ArgumentRule | None = None, unchecked: tuple = ()
    ) -> None:
        self.rules = argument_rules
        self.all_operands = all_operands
        self.unchecked = unchecked
        self._masks: tuple[int, ...] | None = None

    def saves_by_mask(self, operands: int) -> tuple[int, ...]:
        """For each mask of operands that need a gradient, the values to keep, as bits.

        Bit 0 and bit 1 stand for the first two operands, bit 2 for the result; used by the hot path
        for one and two operands.
        """
        if operands > 2:
            return ()
        if self._masks is None:
            self._masks = tuple(self._bits(mask) for mask in range(4))
        return self._masks

    def _bits(self, mask: int) -> int:
        bits = 0
        for position in self._reads([p for p in range(len(self.rules or ())) if mask >> p & 1], ()):
            bits |= 4 if position == OUT else 1 << position
        return bits

    def _reads(self, wanted: list[int], params: tuple) -> set:
        if self.all_operands is not None:
            return set(self.all_operands.reads_for(params))
        found: set = set()
        for position in wanted:
            rule = self.rules[position]
            if rule is not None:
                found.update(rule.reads_for(params))
        return found

    def saved_values(self, edges, inputs, node, params):
        """Nodes to keep for operands whose edge is not None; None if nothing is read."""
        wanted = [p for p, edge in enumerate(edges) if edge is not None]
        reads = self._reads(wanted, params)
        if not reads:
            return None
        kept = tuple(n if p in reads else None for p, n in enumerate(inputs))
        return (*kept, node if OUT in reads else None)

    def cotangents(self, wanted, cotangent, out, operands, params) -> list:
        """Cotangents of the operands; None where not wanted or without derivative."""
        if self.all_operands is not None:
            return self.all_operands.function(wanted, cotangent, out, operands, *params)
        found: list = []
        for position, rule in enumerate(self.rules):
            if rule is None or not wanted[position]:
                found.append(None)
            else:
                found.append(rule.function(cotangent, out, *operands, *params))
        return found


def define(
    primitive: Primitive, module: str, *argument_rules: ArgumentRule | None, unchecked: tuple = ()
) -> None:
    """The row of a primitive with a fixed number of operands; unchecked: see `Vjp`."""
    if len(argument_rules) != primitive.arity:
        raise ValueError(
            f"vjp: {primitive} has {primitive.arity} operands, its row has {len(argument_rules)}"
        )
    rules.define(primitive, Vjp(argument_rules, unchecked=unchecked), module)


def define_for_all(
    primitive: Primitive, module: str, function: Callable, *reads, unchecked: tuple = ()
) -> None:
    """The row of a variadic primitive: one function (wanted, g, out, operands, *params) -> list.

    Of several results, OUT reads all, as a list.
    """
    if primitive.arity != VARIADIC and not primitive.multiple:
        raise ValueError(f"vjp: {primitive} has a fixed number of operands; use define")
    rules.define(primitive, Vjp(None, ArgumentRule(function, reads), unchecked), module)


def nondifferentiable(primitive: Primitive, module: str) -> None:
    """The row of a primitive whose result carries no gradient."""
    rules.define(primitive, None, module)
