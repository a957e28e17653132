"""Wrapping parts of a module so that they are computed again in backward.  Level 12."""
