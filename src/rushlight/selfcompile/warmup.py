"""When the hot paths are translated: once it pays.

Code that is on the disk takes a few milliseconds for each module; code that is not takes a tenth of
a second, which a thread beside the program spends.  Either takes at most a given share of the time
that the program has been computing.  Level 9.
"""

from __future__ import annotations

import importlib
import platform
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from rushlight.base.config import config
from rushlight.base.errors import CompilerWarning
from rushlight.base.hot import warmup
from rushlight.base.later import Later
from rushlight.base.observe import clock
from rushlight.base.references import NEWEST_PYTHON, OLDEST_PYTHON

# Shorter programs stay as they are.
_SOONEST_SECONDS = 1.0
_SHARE = 0.1
# Flushes between two looks: while modules wait, and afterwards.
_SOON, _LATER = 16, 1024

_NEVER, _AT_ONCE = "0", "1"

# Where the tests have run this way; elsewhere it has to be asked for.
_SYSTEM, _PROCESSORS = "linux", ("x86_64", "AMD64")


class _Progress:
    """began: when the first flush was counted.  spent: seconds.  refusal: why nothing is done.

    preparing: what makes the code that is to be put in its place next, or None.
    suspended: how often Python was asked for.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.began: float | None = None
        self.spent = 0.0
        self.refusal: str | None = None
        self.suspended = 0
        self.installer: Any = None
        self.preparing: Later | None = None


_progress = _Progress()

# Called between flushes, now and then, while recording is Python because somebody watches it.
WHILE_SUSPENDED: list[Callable[[], None]] = []


def _is_tried() -> bool:
    """Whether recording has been machine code on such a system before."""
    here = sys.platform == _SYSTEM and platform.machine() in _PROCESSORS
    return here and OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON


def recording_form() -> str:
    """Whether recording is machine code, or becomes it, or why it stays Python."""
    if config.selfcompile == _NEVER:
        return "Python, as RUSHLIGHT_SELFCOMPILE=0 asks"
    if config.selfcompile != _AT_ONCE and not _is_tried():
        return "Python: untried on such a system; RUSHLIGHT_SELFCOMPILE=1 tries machine code"
    layout = importlib.import_module("rushlight.selfcompile.layout")
    reason = _progress.refusal
    if reason is None:
        try:
            importlib.import_module("rushlight.selfcompile.install").check_interpreter()
        except layout.Unsupported as error:
            reason = str(error)
    if reason is not None:
        return f"Python: {reason}"
    when = "at once" if config.selfcompile == _AT_ONCE else "once a program has run for a second"
    return f"machine code {when}"


def suspend() -> None:
    """Let recording be Python, function by function, until as many calls of `resume`."""
    with _progress.lock:
        _progress.suspended += 1
        if _progress.suspended == 1 and _progress.installer is not None:
            _progress.installer.suspend()


def resume() -> None:
    """Undo `suspend`."""
    with _progress.lock:
        _progress.suspended -= 1
        if _progress.suspended == 0 and _progress.installer is not None:
            _progress.installer.resume()


def is_suspended() -> bool:
    """Whether calls are watched, for which they have to be Python.

    Who watches for a while after its use is asked to end, as where recording stays Python nobody
    else asks.
    """
    if _progress.suspended and _progress.lock.acquire(blocking=False):
        try:
            for told in WHILE_SUSPENDED:
                told()
        finally:
            _progress.lock.release()
    return _progress.suspended > 0


def resume_soon() -> None:
    """The same for whoever is called from `WHILE_SUSPENDED`, which holds the lock."""
    _progress.suspended -= 1
    if _progress.suspended == 0 and _progress.installer is not None:
        _progress.installer.resume()


def _look() -> None:
    """Called between two flushes, every so often."""
    if not _progress.lock.acquire(blocking=False):
        warmup.left = _SOON
        return
    try:
        warmup.left = _install_some()
    finally:
        _progress.lock.release()


def _install_some() -> int:
    """Translate what may be translated now; returns after how many flushes to look again."""
    now = clock()
    if _progress.began is None:
        _progress.began = now
    at_once = config.selfcompile == _AT_ONCE
    if _progress.suspended:
        for told in WHILE_SUSPENDED:
            told()
        return 1 if at_once else _SOON
    elapsed = now - _progress.began
    if not at_once and (elapsed < _SOONEST_SECONDS or _progress.spent > _SHARE * elapsed):
        return _SOON
    try:
        if _progress.installer is None:
            module = importlib.import_module("rushlight.selfcompile.install")
            _progress.installer = module.INSTALLER
        installer = _progress.installer
        if installer.is_complete():
            return 1 if at_once else _LATER
        if at_once:
            installer.install_all()
        elif _progress.preparing is None:
            _progress.preparing = Later(installer.prepare_next)
        elif _progress.preparing.is_over():
            _progress.spent += _progress.preparing.seconds
            _progress.preparing = None
            installer.install_next()
    except Exception as error:
        _refuse(error)
        return -1
    _progress.spent += clock() - now
    return 1 if at_once else _SOON


def _refuse(error: Exception) -> None:
    """Stay with Python, and say so unless that is simply what this interpreter asks for."""
    layout = importlib.import_module("rushlight.selfcompile.layout")
    _progress.refusal = " ".join(f"{error}".split())
    if not isinstance(error, layout.Unsupported):
        text = f"rushlight: the hot paths stay Python ({type(error).__name__}: {_progress.refusal})"
        warnings.warn(text, CompilerWarning, stacklevel=2)


if config.selfcompile == _AT_ONCE or (config.selfcompile != _NEVER and _is_tried()):
    warmup.look = _look
    warmup.left = 1 if config.selfcompile == _AT_ONCE else _SOON
