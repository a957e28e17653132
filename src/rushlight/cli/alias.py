"""Make `torch` mean rushlight, and `torchvision` rushlight.vision, in this process only.

In: nothing.  Out: an import finder that resolves `torch`, `torchvision` and what is below them to
rushlight's modules, the same module objects under a second name.  What rushlight lacks raises
ModuleNotFoundError with a sentence that says so and names who asked, also when PyTorch is
installed: the two are never mixed.  Who only probes (`hasattr`, `find_spec`) is told that it is
absent.  Level 14.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import linecache
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import rushlight
from rushlight import version
from rushlight.tensor.torch_function import INTERCEPTION
from rushlight.torch_version import INTERFACE

OWN_VERSION = rushlight.__version__
ALIAS = "torch"
TARGET = "rushlight"
TARGETS = {ALIAS: TARGET, "torchvision": "rushlight.vision"}
# The versions whose interfaces these are, as `importlib.metadata` and pip see them.
VERSIONS = {ALIAS: str(INTERFACE), "torchvision": "0.29.1+rushlight"}
# A folder whose only content is a package named `torch` that installs the finder.  Child processes
# that multiprocessing starts afresh get the parent's sys.path before they import anything.
SHIM_FOLDER = Path(__file__).with_name("shim")
# Built on PyTorch's C++ library: loading them beside rushlight could only fail further down.
BUILT_ON_TORCH = frozenset({"torchaudio", "torchtext", "torchgen", "functorch"})
# Folders of rushlight that are no modules of PyTorch's; `torch.tensor` is a function there.
INTERNAL = frozenset(
    "base tape rng primitives reference vjp jvp batching simplify schedule loopnest lowering"
    " codegen runtime engine selfcompile tensor ops settings viz cli datasets sklearn"
    " vision".split()
)


class StandIn(importlib.metadata.Distribution):
    """What `importlib.metadata` says of a distribution where rushlight is in its place."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_text(self, filename: str) -> str | None:
        """The named file of the distribution's information."""
        return metadata_text(self._name) if filename == "METADATA" else None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        """Where a file of the distribution lies."""
        return Path(rushlight.__file__).parent.parent / path


def metadata_text(name: str) -> str:
    """The METADATA of a distribution that rushlight stands in for."""
    return (
        "Metadata-Version: 2.1\n"
        f"Name: {name}\n"
        f"Version: {VERSIONS[name]}\n"
        f"Summary: rushlight {OWN_VERSION} in the place of PyTorch\n"
        "License: Apache-2.0\n"
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
            if not _is_installed(parts[0]):
                return None  # absent as anything else, also to who only asks with `find_spec`
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: it is built on PyTorch's own library and"
                " rushlight does not provide it yet",
                name=fullname,
            )
        if parts[0] not in TARGETS:
            return overriding_spec(fullname, path)
        try:
            module = _rushlight_module(fullname, parts[1:])
        except ModuleNotFoundError:
            if _is_a_probe() and parts[1] not in INTERNAL:
                return None
            raise
        spec = importlib.machinery.ModuleSpec(
            fullname, AliasLoader(module), origin=getattr(module, "__file__", None)
        )
        locations = getattr(module, "__path__", None)
        if locations is not None:
            spec.submodule_search_locations = list(locations)
        return spec

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterator[StandIn]:
        """Answers `importlib.metadata` for `torch` and `torchvision`, before what is installed."""
        if context is not None and context.name in VERSIONS:
            yield StandIn(context.name)


# What a class has that answers calls of PyTorch's functions.
OVERRIDE = "__torch_function__"


def overriding_spec(
    fullname: str, path: Sequence[str] | None
) -> importlib.machinery.ModuleSpec | None:
    """The spec of a module whose text names `__torch_function__`; None for others.

    Functions ask no operands until there are classes that want to be asked.  Of subclasses of
    Tensor, of modes and of proxies the first instance tells; classes of other kinds are looked for
    in the module.
    """
    if fullname.partition(".")[0] in (*sys.stdlib_module_names, TARGET):
        return None
    spec = importlib.machinery.PathFinder.find_spec(fullname, path)
    loader: Any = None if spec is None else spec.loader
    if type(loader) is not importlib.machinery.SourceFileLoader:
        return None
    try:
        names_it = OVERRIDE.encode() in loader.get_data(loader.path)
    except OSError:
        return None  # the import itself will say what is wrong
    if not names_it:
        return None
    plain = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        plain(module)
        for value in list(vars(module).values()):
            if isinstance(value, type) and OVERRIDE in vars(value) and not _tells_itself(value):
                importlib.import_module(INTERCEPTION).watch_for_good()
                return

    loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec


def _tells_itself(cls: type) -> bool:
    """Whether a class has a base of ours whose instances say that they are to be asked."""
    return any(
        base.__module__.partition(".")[0] == TARGET and OVERRIDE in vars(base)
        for base in cls.__mro__
    )


def _is_installed(name: str) -> bool:
    return importlib.machinery.PathFinder.find_spec(name) is not None


def _rushlight_module(fullname: str, parts: list[str]) -> ModuleType:
    alias = fullname.partition(".")[0]
    own_name = ".".join([TARGETS[alias], *parts])
    missing = ModuleNotFoundError(
        f"No module named {fullname!r}: rushlight does not have it yet"
        f" (torch is rushlight in this process){_who_asked()}",
        name=fullname,
    )
    if alias == ALIAS and parts and parts[0] in INTERNAL:
        raise missing
    try:
        module = importlib.import_module(own_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{own_name}.".startswith(f"{error.name}."):
            raise
        raise missing from None
    explain_what_is_lacking(module)
    return module


def _frames() -> Iterator[FrameType]:
    """The frames that led here, outwards from those of this file."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename != __file__:
            yield frame
        frame = frame.f_back


def _is_a_probe() -> bool:
    """Whether `importlib.util.find_spec` asks, which imports nothing."""
    for frame in _frames():
        if not frame.f_globals.get("__name__", "").startswith("importlib"):
            return False
        if frame.f_code.co_name == "find_spec" and frame.f_globals["__name__"] == "importlib.util":
            return True
    return False


def _who_asked() -> str:
    """`, asked for by package.module`, or nothing where the program itself asks."""
    for frame in _frames():
        name = frame.f_globals.get("__name__", "")
        if name == "__main__":
            return ""
        if name.partition(".")[0] not in ("importlib", TARGET, ALIAS):
            return f", asked for by {name}"
    return ""


def _is_imported(name: str) -> bool:
    """Whether the line that asks is `from torch... import`, by its text.

    The import system itself asks for submodules before; it must be told that there is no attribute.
    """
    frame = next(_frames())
    words = linecache.getline(frame.f_code.co_filename, frame.f_lineno).split()
    return not name.startswith("__") and words[:1] == ["from"] and "import" in words


def explain_what_is_lacking(module: ModuleType) -> None:
    """Let the AttributeError of a name that a module lacks say whose name it is and who asked."""
    own: Callable[[str], object] | None = vars(module).get("__getattr__")
    if getattr(own, "explains", False) or module.__name__.split(".")[0] not in (TARGET, ALIAS):
        return
    spoken = ".".join([ALIAS, *module.__name__.split(".")[1:]])

    def __getattr__(name: str) -> object:
        if own is not None:
            try:
                found = own(name)
            except AttributeError as error:
                if error.obj is not module:
                    raise
            else:
                if isinstance(found, ModuleType):
                    explain_what_is_lacking(found)
                return found
        if _is_imported(name):
            # Python's own message would name rushlight's module, which nobody wrote.
            raise ImportError(
                f"cannot import name {name!r} from {spoken!r}: rushlight does not have it"
                f"{_who_asked()}",
                name=spoken,
            )
        raise AttributeError(
            f"module {spoken!r} has no attribute {name!r}: rushlight does not have it"
            f"{_who_asked()}",
            name=name,
            obj=module,
        )

    __getattr__.explains = True  # type: ignore[attr-defined]
    vars(module)["__getattr__"] = __getattr__


def install() -> None:
    """From now on `import torch` imports rushlight; does nothing the second time."""
    if any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        return
    # Programs and packages ask which PyTorch this is, and refuse those that are too old.
    rushlight.__version__ = version.__version__ = INTERFACE
    # They also ask the module for its name, and for itself: `torch.torch` is PyTorch's, too.
    rushlight.__name__ = ALIAS
    vars(rushlight)[ALIAS] = rushlight
    explain_what_is_lacking(rushlight)
    sys.meta_path.insert(0, AliasFinder())
    shim = str(SHIM_FOLDER)
    if shim not in sys.path:
        sys.path.insert(1, shim)
