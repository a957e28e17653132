"""Tests of rushlight.amp."""
