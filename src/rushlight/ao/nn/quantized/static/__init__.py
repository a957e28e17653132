"""Layers among codes, with scales that were observed.  Level: ao (14)."""
