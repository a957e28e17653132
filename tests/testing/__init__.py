"""Tests of rushlight.testing."""
