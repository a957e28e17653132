"""These tests need an interpreter whose functions can be machine code."""

from __future__ import annotations

import pytest

from rushlight.selfcompile.install import check_interpreter
from rushlight.selfcompile.layout import Unsupported


@pytest.fixture(autouse=True, scope="session")
def supported() -> None:
    try:
        check_interpreter()
    except Unsupported as reason:
        pytest.skip(f"recording stays Python: {reason}")
