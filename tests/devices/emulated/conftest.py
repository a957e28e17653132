"""An emulated CUDA device for the tests of this folder; threads take turns in random order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rushlight.engine import cuda
from rushlight.runtime.emulator import RANDOM, Emulator


@pytest.fixture(autouse=True, scope="module")
def emulator() -> Iterator[Emulator]:
    """Two emulated devices, as `cuda:0` and `cuda:1`."""
    driver = Emulator(devices=2)
    driver.order = RANDOM
    cuda.use_driver(driver)
    yield driver
    cuda.use_driver(None)
