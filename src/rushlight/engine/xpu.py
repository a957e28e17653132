"""Devices of OpenCL, as `xpu`: Intel's GPUs, or whatever else is asked for.

`RUSHLIGHT_XPU=opencl` takes every device of OpenCL that shares virtual memory, PoCL's CPU among
them, `off` none; otherwise Intel's GPUs are used.  Level 9.
"""

from __future__ import annotations

import importlib
from typing import Any

from rushlight.base.config import OFF, OPENCL, config
from rushlight.engine.accelerators import Accelerators, NotUsed


def _driver() -> Any:
    """Raises: NotUsed."""
    if config.xpu == OFF:
        raise NotUsed("RUSHLIGHT_XPU=off")
    opencl = importlib.import_module("rushlight.runtime.opencl_driver")
    try:
        return opencl.OpenClDriver(opencl.open_library(), only_intel=config.xpu != OPENCL)
    except opencl.NoDriver as error:
        raise NotUsed(str(error)) from None


kind = Accelerators("xpu", "XPU", _driver)
