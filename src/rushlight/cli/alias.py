"""Make `torch` mean rushlight, in this process only.

In: nothing.  Out: an import finder that resolves `torch` and `torch.*` to rushlight's modules, the
same module objects under a second name.  What rushlight lacks raises ModuleNotFoundError with a
sentence that says so, also when PyTorch is installed: the two are never mixed.  Level 14.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

ALIAS = "torch"
TARGET = "rushlight"
# A folder whose only content is a package named `torch` that installs the finder.  Child processes
# that multiprocessing starts afresh get the parent's sys.path before they import anything.
SHIM_FOLDER = Path(__file__).with_name("shim")
# Built on PyTorch's C++ library: loading them beside rushlight could only fail further down.
BUILT_ON_TORCH = frozenset({"torchvision", "torchaudio", "torchtext", "torchgen", "functorch"})
# Folders of rushlight that are no modules of PyTorch's; `torch.tensor` is a function there.
INTERNAL = frozenset(
    "base tape rng primitives reference vjp simplify schedule loopnest lowering codegen runtime"
    " engine tensor ops viz cli datasets".split()
)


class AliasLoader(importlib.abc.Loader):
    """Hands out a module that is already imported under its own name."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.own_spec = module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just put the alias's spec on the module; its own one goes back,
        # so that reload, pickle and `python -m` keep working on the module's real name.
        module.__spec__ = self.own_spec


class AliasFinder(importlib.abc.MetaPathFinder):
    """Finds `torch` and its submodules in rushlight."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        parts = fullname.split(".")
        if parts[0] in BUILT_ON_TORCH:
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: it is built on PyTorch's own library and"
                " rushlight does not provide it yet",
                name=fullname,
            )
        if parts[0] != ALIAS:
            return None
        module = _rushlight_module(fullname, parts[1:])
        spec = importlib.machinery.ModuleSpec(
            fullname, AliasLoader(module), origin=getattr(module, "__file__", None)
        )
        locations = getattr(module, "__path__", None)
        if locations is not None:
            spec.submodule_search_locations = list(locations)
        return spec


def _rushlight_module(fullname: str, parts: list[str]) -> ModuleType:
    own_name = ".".join([TARGET, *parts])
    missing = ModuleNotFoundError(
        f"No module named {fullname!r}: rushlight does not have it yet"
        " (torch is rushlight in this process)",
        name=fullname,
    )
    if parts and parts[0] in INTERNAL:
        raise missing
    try:
        return importlib.import_module(own_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{own_name}.".startswith(f"{error.name}."):
            raise
        raise missing from None


def install() -> None:
    """From now on `import torch` imports rushlight; does nothing the second time."""
    if any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, AliasFinder())
    shim = str(SHIM_FOLDER)
    if shim not in sys.path:
        sys.path.insert(1, shim)
