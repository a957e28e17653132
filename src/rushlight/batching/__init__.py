"""How each primitive acts on a whole batch: one row each, in the file of its family.  Level 5."""
