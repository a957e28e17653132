"""Tests of rushlight.jit."""
