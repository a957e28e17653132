"""Fused groups to loop nests: one rule for each primitive, and the nests around them.  Level 6."""
