"""Rewrites of a program that keep every bit of every value (see `pipeline.py`).  Level 4."""
