"""The names that a checkpoint's pickle may use, and what each stands for.

Files use PyTorch's names ("torch._utils._rebuild_tensor_v2"), so that either framework opens the
other's.  `TORCH_NAMES` maps our names to theirs for writing; `allowed_names` gives the table that
the restricted reader looks names up in.  Level: serialization (12).
"""

from __future__ import annotations

import collections
import contextlib
import pickle
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rushlight.base import dtypes, formats
from rushlight.base.device import device
from rushlight.nn.parameter import Parameter
from rushlight.serialization import rebuild
from rushlight.serialization.restricted_pickle import Constructor
from rushlight.tensor.tensor import Size, Tensor

# Dtypes that PyTorch writes and rushlight cannot hold; named in the error instead of "unsupported
# global", because allowing the name would not help.
_FOREIGN_DTYPES = "quint4x2 quint2x4 bits8 bits16".split()
_DTYPES = (*dtypes.ALL_DTYPES, *dtypes.FLOAT8, *dtypes.CODES)

TORCH_NAMES: dict[tuple[str, str], tuple[str, str]] = {
    (rebuild.__name__, "rebuild_tensor_v2"): ("torch._utils", "_rebuild_tensor_v2"),
    (rebuild.__name__, "rebuild_meta_tensor"): (
        "torch._utils",
        "_rebuild_meta_tensor_no_storage",
    ),
    (rebuild.__name__, "rebuild_tensor_v3"): ("torch._utils", "_rebuild_tensor_v3"),
    (rebuild.__name__, "rebuild_sparse"): ("torch._utils", "_rebuild_sparse_tensor"),
    (rebuild.__name__, "rebuild_quantized"): ("torch._utils", "_rebuild_qtensor"),
    **{(formats.__name__, name): ("torch", name) for name in formats.QUANTIZATION_SCHEMES},
    (rebuild.__name__, "UntypedStorage"): ("torch.storage", "UntypedStorage"),
    (rebuild.__name__, "rebuild_parameter"): ("torch._utils", "_rebuild_parameter"),
    (rebuild.__name__, "rebuild_parameter_with_state"): (
        "torch._utils",
        "_rebuild_parameter_with_state",
    ),
    (rebuild.__name__, "rebuild_size"): ("torch", "Size"),
    (rebuild.__name__, "rebuild_layout"): ("torch.serialization", "_get_layout"),
    (device.__module__, "device"): ("torch", "device"),
    **{(dtypes.__name__, dtype.name): ("torch", dtype.name) for dtype in _DTYPES},
    (dtypes.__name__, "bool_"): ("torch", "bool"),
    **{
        (rebuild.__name__, kind.__name__): ("torch", kind.__name__)
        for kind in (*rebuild.STORAGE_TYPES.values(), *rebuild.CODE_STORAGES.values())
    },
}

# What a name in a file stands for, and the item it was allowed by.
_USER_CLASSES: dict[str, Any] = {}
_USER_ITEMS: dict[str, Any] = {}
_PACKAGE = __name__.partition(".")[0]
# NumPy 2 renamed the modules its pickles name; files hold either name.
_RENAMED = ("numpy._core.", "numpy.core.")


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Allow `load(weights_only=True)` to make objects of the given classes or call the functions.

    An item may be a pair (object, "full.name.in.the.file").  Source: torch.serialization.
    """
    for item in safe_globals:
        target, name = item if isinstance(item, tuple) else (item, None)
        if name is None:
            name = f"{target.__module__}.{target.__qualname__}"
        _USER_CLASSES[name] = target
        _USER_ITEMS[name] = item
        new, old = _RENAMED
        for ours, theirs in ((new, old), (old, new)):
            if name.startswith(ours):
                _USER_CLASSES.setdefault(theirs + name.removeprefix(ours), target)


def _name_of(target: Any) -> str:
    """By what a pickle names a class or a function, or nothing."""
    place, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    return f"{place}.{name}" if place and name else ""


def clear_safe_globals() -> None:
    """Forget everything that `add_safe_globals` allowed.  Source: torch.serialization."""
    _USER_CLASSES.clear()
    _USER_ITEMS.clear()


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` allowed.  Source: torch.serialization."""
    return list(_USER_ITEMS.values())


@contextlib.contextmanager
def safe_globals(safe_globals: Iterable[Any]) -> Iterator[None]:
    """Allow the given classes inside a `with` block only.  Source: torch.serialization."""
    saved = dict(_USER_CLASSES), dict(_USER_ITEMS)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        for table, before in zip((_USER_CLASSES, _USER_ITEMS), saved):
            table.clear()
            table.update(before)


def allowed_names() -> Mapping[str, Any]:
    """The names a weights-only pickle may use, with what `add_safe_globals` allowed."""
    allowed = _Allowed()
    for name, target in _USER_CLASSES.items():
        allowed[name] = _user_constructor(name, target)
    return collections.ChainMap(_BUILT_IN, allowed)


class _Allowed(dict[str, Any]):
    """What a user allowed, by name; by PyTorch's names, too, where it is rushlight's.

    Only modules that are imported already are looked at: a file must not import any.
    """

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self._found(name) is not None

    def __missing__(self, name: str) -> Any:
        target = self._found(name)
        if target is None:
            raise KeyError(name)
        return _user_constructor(name, target)

    def _found(self, name: object) -> Any:
        if not isinstance(name, str) or not name.startswith("torch."):
            return None
        place, _, last = name.removeprefix("torch").rpartition(".")
        target = getattr(sys.modules.get(_PACKAGE + place), last, None)
        # By name: a function may have become machine code since it was allowed.
        return None if target is None else _USER_CLASSES.get(_name_of(target))


def _user_constructor(name: str, target: Any) -> Any:
    if not callable(target):
        return target
    if not isinstance(target, type):
        return Constructor(
            name,
            lambda *args: target(*map(_native, args)),
            set_state=_set_state_if_allowed,
            target=target,
        )
    return Constructor(
        name,
        lambda *args: target(*map(_native, args)),
        new=lambda *args: target.__new__(target, *map(_native, args)),
        set_state=_set_instance_state,
        target=target,
    )


def _native(argument: Any) -> Any:
    """An argument as code of the user's choice expects it: classes are classes."""
    if isinstance(argument, Constructor) and argument.target is not None:
        return argument.target
    return argument


def _set_state_if_allowed(instance: Any, state: Any) -> Any:
    """BUILD on what an allowed function made: its class must be allowed as well."""
    if not any(type(instance) is target for target in _USER_CLASSES.values()):
        kind = type(instance)
        raise pickle.UnpicklingError(
            f"Weights only load failed. Setting the state of a {kind.__module__}.{kind.__name__} "
            "is not allowed; allow the class with serialization.add_safe_globals([...])"
        )
    return _set_instance_state(instance, state)


def _set_instance_state(instance: Any, state: Any) -> Any:
    """What BUILD does by default: __setstate__, or attributes from one or two dictionaries."""
    setter = getattr(instance, "__setstate__", None)
    if setter is not None:
        setter(state)
        return instance
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        instance.__dict__.update(state)
    for name, value in (slots or {}).items():
        setattr(instance, name, value)
    return instance


# Constructors of plain Python objects.


def _ordered_dict(*arguments: Any) -> collections.OrderedDict:
    if not arguments:
        return collections.OrderedDict()
    (pairs,) = arguments
    if type(pairs) is not list:
        raise pickle.UnpicklingError("OrderedDict: expected a list of pairs")
    return collections.OrderedDict((str(key), value) for key, value in pairs)


def _set_ordered_dict_state(target: collections.OrderedDict, state: Any) -> collections.OrderedDict:
    """`state_dict()` carries its metadata as an attribute; methods cannot be shadowed."""
    if type(state) is not dict:
        raise pickle.UnpicklingError("OrderedDict: expected its attributes as a dictionary")
    for name, value in state.items():
        if type(name) is not str or hasattr(collections.OrderedDict, name):
            raise pickle.UnpicklingError(f"OrderedDict: attribute {name!r} is not allowed")
        setattr(target, name, value)
    return target


def _counter(*arguments: Any) -> collections.Counter:
    counts = arguments[0] if arguments else {}
    if type(counts) is not dict:
        raise pickle.UnpicklingError("Counter: expected a dictionary of counts")
    return collections.Counter(counts)


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """How protocol 2 spells bytes: text of the same code points, encoded as Latin-1."""
    if type(text) is not str or encoding not in ("latin1", "latin-1", "iso8859-1"):
        raise pickle.UnpicklingError("_codecs.encode: expected text and latin1")
    return text.encode("latin-1")


def _empty_bytes() -> bytes:
    """How protocol 2 spells empty bytes; bytes(number) would let a file claim any memory."""
    return b""


def _bytearray(*arguments: Any) -> bytearray:
    """Of bytes only: bytearray(number) would let a few bytes of file claim any memory."""
    data = arguments[0] if arguments else b""
    if type(data) is not bytes:
        raise pickle.UnpicklingError("bytearray: expected bytes")
    return bytearray(data)


def _set(*arguments: Any) -> set:
    items = arguments[0] if arguments else []
    if type(items) is not list:
        raise pickle.UnpicklingError("set: expected a list")
    if not all(isinstance(item, (str, int, float, bytes, complex, type(None))) for item in items):
        raise pickle.UnpicklingError("set: expected numbers or text as items")
    return set(items)


def _complex(real: Any, imag: Any) -> complex:
    return complex(float(real), float(imag))


def _refuse_dtype(name: str) -> Constructor:
    def refuse(*_: Any) -> None:
        raise pickle.UnpicklingError(f"load: torch.{name} has no counterpart in rushlight")

    return Constructor(f"torch.{name}", refuse)


_CONSTRUCTORS = (
    Constructor("collections.OrderedDict", _ordered_dict, set_state=_set_ordered_dict_state),
    Constructor("collections.Counter", _counter),
    Constructor("_codecs.encode", _encode),
    Constructor("builtins.bytearray", _bytearray),
    Constructor("builtins.bytes", _empty_bytes),
    Constructor("builtins.set", _set),
    Constructor("builtins.complex", _complex),
    Constructor("torch.Size", rebuild.rebuild_size),
    Constructor("torch.device", rebuild.rebuild_device),
    Constructor("torch.serialization._get_layout", rebuild.rebuild_layout),
    Constructor("torch._utils._rebuild_tensor", rebuild.rebuild_tensor),
    Constructor("torch._utils._rebuild_tensor_v2", rebuild.rebuild_tensor_v2),
    Constructor("torch._utils._rebuild_tensor_v3", rebuild.rebuild_tensor_v3),
    Constructor("torch._utils._rebuild_meta_tensor_no_storage", rebuild.rebuild_meta_tensor),
    Constructor("torch._utils._rebuild_sparse_tensor", rebuild.rebuild_sparse),
    Constructor("torch._utils._rebuild_qtensor", rebuild.rebuild_quantized),
    Constructor("torch._utils._rebuild_parameter", rebuild.rebuild_parameter),
    Constructor("torch._utils._rebuild_parameter_with_state", rebuild.rebuild_parameter_with_state),
    Constructor("torch._tensor._rebuild_from_type_v2", rebuild.rebuild_from_type_v2),
    Constructor("torch.Tensor", rebuild.refuse_bare_tensor),
    Constructor("torch.nn.parameter.Parameter", rebuild.refuse_bare_tensor),
)

_BUILT_IN: dict[str, Any] = {
    **{constructor.name: constructor for constructor in _CONSTRUCTORS},
    **{f"torch.{dtype.name}": dtype for dtype in _DTYPES},
    **{f"torch.{name}": scheme for name, scheme in formats.QUANTIZATION_SCHEMES.items()},
    **{f"torch.{kind.__name__}": kind for kind in rebuild.CODE_STORAGES.values()},
    **{f"torch.{name}": _refuse_dtype(name) for name in _FOREIGN_DTYPES},
    **{f"torch.{kind.__name__}": kind for kind in rebuild.STORAGE_TYPES.values()},
    "torch.storage.UntypedStorage": rebuild.UntypedStorage,
    "torch.storage._UntypedStorage": rebuild.UntypedStorage,
}

# The same names for the reader of trusted files, which calls what it finds.
NATIVE_NAMES: dict[str, Any] = {
    name: found.build if isinstance(found, Constructor) else found
    for name, found in _BUILT_IN.items()
    if name.startswith("torch.")
} | {
    "torch._tensor._rebuild_from_type_v2": rebuild.rebuild_trusted_from_type,
    "torch.Tensor": Tensor,
    "torch.Size": Size,
    "torch.device": device,
    "torch.nn.parameter.Parameter": Parameter,
}
