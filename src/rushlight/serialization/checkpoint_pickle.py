"""The pickle inside a checkpoint: objects to bytes under PyTorch's names, and the trusting reader.

Tensors are written as calls of `torch._utils._rebuild_tensor_v2` on persistent ids of storages, so
that PyTorch's weights-only reader accepts them.  Python's pickler writes a name only if it can
import it, so the pickle is written with our names and the names are then replaced, opcode by
opcode.  Level: serialization (12).
"""

from __future__ import annotations

import copy
import io
import pickle
import pickletools
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from rushlight.base.device import META
from rushlight.base.dtypes import DType
from rushlight.base.formats import layout, qscheme, sparse_coo
from rushlight.nn.parameter import Parameter, UninitializedParameter
from rushlight.serialization import rebuild
from rushlight.serialization.class_names import own_place, torch_name
from rushlight.serialization.names import NATIVE_NAMES, TORCH_NAMES
from rushlight.tensor.memory import Storage
from rushlight.tensor.pickling import tensor_on_storage, tensor_window
from rushlight.tensor.quantized_tensor import QuantizedTensor
from rushlight.tensor.sparse_tensor import SparseTensor
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Size, Tensor

_PACKAGE = __name__.partition(".")[0]
# The only protocol that PyTorch's weights-only reader knows in full.  From protocol 4 on, names
# are also strings on the stack, so they could not be replaced in place.
PROTOCOL = 2


class StorageIndex:
    """The storages met while pickling, in order; their position is their key in the file."""

    def __init__(self) -> None:
        self.storages: list[Storage] = []
        self._keys: dict[int, str] = {}

    def key(self, storage: Storage) -> str:
        """The key of `storage`, given at its first mention."""
        known = self._keys.get(id(storage))
        if known is None:
            known = self._keys[id(storage)] = str(len(self.storages))
            self.storages.append(storage)
        return known


def _bare(parameter: Tensor) -> Tensor:
    return tensor_on_storage(*tensor_window(parameter), False)


def _current(function: FunctionType) -> Any:
    """How a function is written that has become machine code since it was taken: as what has its
    name now, which a copy of is itself."""
    found = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is None or found is function or not function.__module__.startswith(_PACKAGE):
        return NotImplemented
    return copy.copy, (found,)


class _CheckpointPickler(pickle.Pickler):
    def __init__(self, target: io.BytesIO, index: StorageIndex) -> None:
        super().__init__(target, PROTOCOL)
        self._index = index

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is rebuild.CodeStorage:
            codes = obj.storage
            key = self._index.key(codes)
            return ("storage", rebuild.CODE_STORAGES[codes.dtype], key, "cpu", codes.size)
        if type(obj) is not Storage:
            return None
        kind = rebuild.STORAGE_TYPES.get(obj.dtype)
        key = self._index.key(obj)
        place = str(obj.value.step.device)
        if kind is None:  # one that PyTorch counts in bytes
            return ("storage", rebuild.UntypedStorage, key, place, obj.size * obj.dtype.itemsize)
        return ("storage", kind, key, place, obj.size)

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Tensor and obj.device is META:
            requires_grad = current_edge(obj) is not None
            facts = (obj.dtype, tuple(obj.shape), tuple(obj.stride()), requires_grad)
            return rebuild.rebuild_meta_tensor, facts
        if type(obj) is Tensor and not obj.__dict__:
            window = tensor_window(obj)
            requires_grad = current_edge(obj) is not None
            parts: tuple = (*window, requires_grad, OrderedDict())
            if obj.dtype not in rebuild.STORAGE_TYPES:
                return rebuild.rebuild_tensor_v3, (*parts, obj.dtype)
            return rebuild.rebuild_tensor_v2, parts
        if type(obj) is SparseTensor:
            parts = (*obj.places, obj.elements.detach(), obj.shape)
            if obj.form is sparse_coo:
                parts = (*parts, obj.coalesced)
            return rebuild.rebuild_sparse, (obj.form, parts)
        if type(obj) is QuantizedTensor:
            storage, *place = tensor_window(obj.codes)
            kept = obj.quantizer
            meaning: tuple = (kept.scheme, kept.scale, kept.zero_point)
            if kept.is_per_channel:
                meaning = (*meaning, kept.axis)
            described = (rebuild.CodeStorage(storage), *place, meaning, False, OrderedDict())
            return rebuild.rebuild_quantized, described
        if type(obj) is qscheme:
            return obj._name
        if type(obj) is Parameter:
            data = obj.detach() if obj.device is META else _bare(obj)
            parts = (data, current_edge(obj) is not None, OrderedDict())
            if obj.__dict__:
                return rebuild.rebuild_parameter_with_state, (*parts, dict(obj.__dict__))
            return rebuild.rebuild_parameter, parts
        if type(obj) is UninitializedParameter:
            return UninitializedParameter, (current_edge(obj) is not None,)
        if type(obj) is FunctionType:
            return _current(obj)
        if type(obj) is DType:
            return "bool_" if obj.name == "bool" else obj.name
        if type(obj) is layout:
            return rebuild.rebuild_layout, (repr(obj),)
        if type(obj) is Size:
            return rebuild.rebuild_size, (tuple(obj),)
        return NotImplemented


def dump_checkpoint(
    obj: Any, names: Mapping[tuple[str, str], tuple[str, str]] | None = None
) -> tuple[bytes, list[Storage]]:
    """`obj` as a pickle under PyTorch's names, and the storages that it refers to by position.

    names: further (module, name) pairs of ours, with PyTorch's.
    """
    index = StorageIndex()
    buffer = io.BytesIO()
    _CheckpointPickler(buffer, index).dump(obj)
    return _rename(buffer.getvalue(), {**TORCH_NAMES, **(names or {})}), index.storages


def _rename(data: bytes, names: dict[tuple[str, str], tuple[str, str]]) -> bytes:
    """Replace the names that GLOBAL opcodes mention; everything else is copied."""
    pieces, copied = [], 0
    for opcode, argument, position in pickletools.genops(data):
        if opcode.name != "GLOBAL" or position is None:
            continue
        module, _, name = str(argument).partition(" ")
        there = names.get((module, name)) or torch_name(module, name)
        if there is None:
            continue
        new_module, new_name = there
        pieces.append(data[copied:position])
        pieces.append(f"c{new_module}\n{new_name}\n".encode())
        copied = position + len(f"c{module}\n{name}\n".encode())
    pieces.append(data[copied:])
    return b"".join(pieces)


class TrustingUnpickler(pickle.Unpickler):
    """Python's unpickler for files the user trusts: it runs what the file says.

    Names of PyTorch are looked up in rushlight, so that a module saved there opens here where the
    classes have the same attributes.
    """

    def __init__(self, source: Any, find_storage: Callable[[Any], Any], **options: Any) -> None:
        super().__init__(source, **options)
        self._find_storage = find_storage

    def persistent_load(self, pid: Any) -> Any:
        return self._find_storage(pid)

    def find_class(self, module: str, name: str) -> Any:
        known = NATIVE_NAMES.get(f"{module}.{name}")
        if known is not None:
            return known
        package, _, rest = module.partition(".")
        if package != "torch":
            return super().find_class(module, name)
        place, own_name = own_place(rest, name)
        try:
            return super().find_class(f"rushlight.{place}" if place else "rushlight", own_name)
        except (ImportError, AttributeError) as error:
            raise pickle.UnpicklingError(
                f"load: the file needs {module}.{name}, which rushlight does not have; save a "
                "state_dict() instead of the whole object"
            ) from error
