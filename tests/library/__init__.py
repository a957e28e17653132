"""Tests of rushlight.library."""
