"""The closed set of primitives, one row each: name, kind, result rule, parameters.  Level 2."""
