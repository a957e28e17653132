"""Datasets.  Level 14."""
