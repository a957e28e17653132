"""LLVM text to object code, and object code to addresses of functions.

No middle-end pass runs: the text comes vectorized and with invariant code hoisted, and the passes
cost more than all the rest of a compile (measured: 7 ms against 1.8 ms for one small kernel).
Each object is linked into a library of its own in one process-wide linker; unloading a library
frees its code.  LLVM is entered under one lock only, which forks wait for: llvmlite has a lock
inside, and a child whose parent's other thread held it could never compile again.  Level 8.
"""

from __future__ import annotations

import functools
import itertools
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import llvmlite.binding as llvm

from rushlight.base.errors import InternalError
from rushlight.base.forks import lock_known_to_forks
from rushlight.base.target import Target
from rushlight.runtime.host import host_target

# Code generation levels of LLVM's back end; 3 differs from 2 only in rarely used extras.  Level 0
# takes less than half the time, and its code is slower by a tenth of a microsecond or two where a
# kernel has a few hundred elements (measured, a launch being two microseconds).
_LEVEL, _QUICK_LEVEL = 2, 0
_MESSAGE_CHARACTERS = 1000
_library_numbers = itertools.count()
_llvm_lock = lock_known_to_forks("llvm")
# What nobody uses any more, until somebody who holds the lock unloads it.
_unused: deque[llvm.ResourceTracker] = deque()


@functools.cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    _skip_loop_strength_reduction()


def _skip_loop_strength_reduction() -> None:
    """Its search is half of a small kernel's compile (6.0 against 2.7 ms) and gains nothing on
    loops whose addresses are written for the machine's addressing modes.  LLVM has no switch for
    it but this one, which holds for the whole process."""
    llvm.set_option("", "-disable-lsr")


@functools.cache
def _initialize_all() -> None:
    _initialize()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def _target_machine(target: Target, quick: bool = False) -> llvm.TargetMachine:
    if target.architecture == host_target().architecture:
        _initialize()
    else:
        _initialize_all()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features_text,
        opt=_QUICK_LEVEL if quick else _LEVEL,
        reloc="pic",
        codemodel="small",
        jit=True,
    )


@functools.cache
def _linker() -> llvm.OrcLLJIT:
    return llvm.create_lljit_compiler(_target_machine(host_target()))


def _excerpt(error: RuntimeError) -> str:
    """LLVM's message, which quotes the line it means."""
    return str(error)[:_MESSAGE_CHARACTERS]


def _parse(text: str) -> llvm.ModuleRef:
    try:
        return llvm.parse_assembly(text)
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses the generated text: {_excerpt(error)}") from error


def compile_text(text: str, target: Target, quick: bool = False) -> bytes:
    """Object code of a module for any Target this LLVM knows; quick: soon rather than fast."""
    with _llvm_lock, _parse(text) as module:
        return _target_machine(target, quick).emit_object(module)


def assembly_of(text: str, target: Target) -> str:
    """The assembly a module compiles to, for people."""
    with _llvm_lock, _parse(text) as module:
        return _target_machine(target).emit_assembly(module)


def without_coroutines(text: str, target: Target) -> str:
    """The text of a module whose coroutines LLVM's passes have taken apart."""
    with _llvm_lock, _parse(text) as module:
        machine = _target_machine(target)
        module.data_layout = str(machine.target_data)
        options = llvm.create_pipeline_tuning_options(speed_level=1)
        options.loop_vectorization = False
        options.slp_vectorization = False
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return str(module)


_loaded: weakref.WeakSet[Library] = weakref.WeakSet()


def loaded_libraries() -> int:
    """How many libraries there are; each takes two of the 65,530 mappings of a Linux process."""
    return len(_loaded)


class Library:
    """Loaded object code; functions live as long as the Library.

    origin: what its maker keeps with it, to say later where the code came from.
    """

    origin: Any = None

    def __init__(
        self, object_code: bytes, names: Sequence[str], imports: Mapping[str, int] | None = None
    ) -> None:
        """imports: addresses of what the code calls, beyond what the process exports."""
        builder = llvm.JITLibraryBuilder().add_object_img(object_code).add_current_process()
        for name, address in (imports or {}).items():
            builder.import_symbol(name, address)
        for name in names:
            builder.export_symbol(name)
        with _llvm_lock:
            _unload_unused()
            tracker = builder.link(_linker(), f"rushlight{next(_library_numbers)}")
        self.addresses = {name: tracker[name] for name in names}
        weakref.finalize(self, _discard, tracker).atexit = False
        _loaded.add(self)

    def __getitem__(self, name: str) -> int:
        return self.addresses[name]


def _discard(tracker: llvm.ResourceTracker) -> None:
    """Unload a library, at once or soon: this runs in any thread, at any point of its program."""
    _unused.append(tracker)
    if _llvm_lock.acquire(blocking=False):
        try:
            _unload_unused()
        finally:
            _llvm_lock.release()


def _unload_unused() -> None:
    while _unused:
        _unused.popleft().close()


def load_text(
    text: str, names: Sequence[str], target: Target | None = None, quick: bool = False
) -> Library:
    """Compiles and loads a module."""
    return Library(compile_text(text, target or host_target(), quick), names)
