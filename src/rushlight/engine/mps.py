"""Apple's GPUs by Metal, as `mps`; `RUSHLIGHT_MPS=off` uses none.  Level 9."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from rushlight.base.config import OFF, config
from rushlight.engine.accelerators import Accelerators, NotUsed


def _driver() -> Any:
    """Raises: NotUsed."""
    if config.mps == OFF:
        raise NotUsed("RUSHLIGHT_MPS=off")
    if sys.platform != "darwin":
        raise NotUsed("Metal is a part of macOS, which this is not")
    metal = importlib.import_module("rushlight.runtime.metal_driver")
    try:
        return metal.MetalDriver(metal.open_libraries())
    except metal.NoDriver as error:
        raise NotUsed(str(error)) from None


kind = Accelerators("mps", "MPS", _driver)
