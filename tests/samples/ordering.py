"""Samples of the ordering primitives."""

from __future__ import annotations

from tests.samples.row import Row

ROWS: tuple[Row, ...] = ()
