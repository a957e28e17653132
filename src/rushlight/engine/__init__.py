"""Executing flushed tapes: live sets, plans, and the choice of the executor.  Level 9."""
