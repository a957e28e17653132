"""Tests of rushlight.fx."""
