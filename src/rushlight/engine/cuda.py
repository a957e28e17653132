"""CUDA devices: cards, where their driver can be loaded, or the emulator.

The driver is looked for at the first question.  `RUSHLIGHT_CUDA=emulated` chooses the emulator,
`off` none.  Level 9.
"""

from __future__ import annotations

import importlib
from typing import Any

from rushlight.base.config import EMULATED, OFF, config
from rushlight.base.device import placing
from rushlight.base.precision import precision
from rushlight.engine.accelerators import Accelerators, DeviceBackend, NotUsed
from rushlight.tape.memo import memo
from rushlight.tape.tape import local


def _driver() -> Any:
    """Raises: NotUsed."""
    if config.cuda == OFF:
        raise NotUsed("RUSHLIGHT_CUDA=off")
    if config.cuda == EMULATED:
        return importlib.import_module("rushlight.runtime.emulator").Emulator()
    library = importlib.import_module("rushlight.runtime.cuda_library")
    try:
        opened = library.open_library()
        # LLVM is loaded only where there is a card.
        return importlib.import_module("rushlight.runtime.cuda_driver").LibCuda(opened)
    except library.NoDriver as error:
        raise NotUsed(str(error)) from None


kind = Accelerators("cuda", "CUDA", _driver)
backends, backend = kind.backends, kind.backend
reason, driver, use_driver = kind.reason, kind.driver, kind.use_driver
resolved, current, host_pool = kind.resolved, kind.current, kind.host_pool

__all__ = [
    "DeviceBackend", "allow_tf32", "backend", "backends", "current", "driver", "host_pool", "kind",
    "reason", "resolved", "use_driver",
]  # fmt: skip


def allow_tf32(allowed: bool) -> None:
    """Whether float32 products of devices may cut their operands to TF32; PyTorch's switch."""
    if precision.tf32 == allowed:
        return
    if placing.begun:
        local.tape.flush("products may be rounded otherwise")
        memo.clear()
        local.tape.drop()
    precision.tf32 = allowed
