"""Machine code of any functions, for tests."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rushlight.selfcompile.install import Installer
from rushlight.selfcompile.layout import ObjectLayout


def compiled(function: Callable[..., Any]) -> Any:
    """The machine code of one function.  Raises: AssertionError with the reason if it has none."""
    installer = Installer()
    source = inspect.getsource(inspect.getmodule(function))
    tables = installer._compiled([function], source, ObjectLayout())
    assert not installer.refused, installer.refused
    for table in tables:
        table.fill(installer.functions)
    _kept.append(installer)
    return installer.functions[function]


def refusal(function: Callable[..., Any]) -> str:
    """Why a function stays Python."""
    installer = Installer()
    source = inspect.getsource(inspect.getmodule(function))
    installer._compiled([function], source, ObjectLayout())
    _kept.append(installer)
    return installer.refused[function]


# Machine code is freed with its library, and a function must not outlive its code.
_kept: list[Installer] = []
