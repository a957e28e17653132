"""Derivatives: one VJP row for each primitive, written in primitives.  Level 4."""
