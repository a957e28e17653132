"""Recording looks through the modules; a collection in the middle of that may import one."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

from rushlight.tape.memo import _is_of_spellings


def test_a_finalizer_that_imports_does_not_disturb_recording() -> None:
    made = []

    def imports(phase: str, info: dict[str, int]) -> None:
        name = f"imported_while_collecting_{len(made)}"
        made.append(name)
        sys.modules[name] = ModuleType(name)

    thresholds = gc.get_threshold()
    gc.callbacks.append(imports)
    gc.set_threshold(20, 1000, 1000)
    try:
        for _ in range(20):
            assert not _is_of_spellings(0)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(imports)
        for name in made:
            del sys.modules[name]
    assert made
