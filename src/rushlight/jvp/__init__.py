"""The forward derivative of each primitive: one row each, in the file of its family.  Level 5."""
