"""The table of NumPy rules.  A rule takes arrays in arithmetic form (16-bit floats as float32),
then the parameters, and returns an array that the executor converts to the result's dtype.  Level
3."""

from __future__ import annotations

from rushlight.tape.primitive import Primitive, RuleTable

rules = RuleTable("reference")


def define(primitive: Primitive, module: str, rule) -> None:
    """Add the rule of one primitive; `module` is the caller's __name__."""
    rules.define(primitive, rule, module)
