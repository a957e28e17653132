"""An emulated CUDA device for the tests of this folder; threads take turns in random order.

With RUSHLIGHT_ON_CARD set (`tools/on_gpu.py` does) the same tests run on this machine's card.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from rushlight.engine import cuda
from rushlight.runtime.emulator import RANDOM, Emulator


@pytest.fixture(autouse=True, scope="module")
def emulator() -> Iterator[Emulator]:
    """Two emulated devices, as `cuda:0` and `cuda:1`."""
    if os.environ.get("RUSHLIGHT_ON_CARD"):
        cuda.use_driver(None)
        yield cuda.driver()
        return
    driver = Emulator(devices=2)
    driver.order = RANDOM
    cuda.use_driver(driver)
    yield driver
    cuda.use_driver(None)
