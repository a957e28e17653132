"""Tests of rushlight.overrides."""
