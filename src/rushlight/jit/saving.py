"""Writing TorchScript's archives, which PyTorch reads as well.

In: a module of an archive, or a traced module with the example it was traced with.  Out: the zip
archive.  Of a loaded module the code is kept as it was and the values are those of now; of a traced
one the code is written from what its call did (`fx/recording.py`).  Level: jit (12).
"""

from __future__ import annotations

import io
import json
import struct
from typing import Any

from rushlight.base.device import device
from rushlight.fx.recording import Recording, record
from rushlight.jit.compiler.unit import compile_function, compile_module
from rushlight.jit.loaded import LoadedModule, ScriptObject
from rushlight.jit.parts import Member, Part, part_of
from rushlight.jit.scripted import FrozenModule, ScriptFunction, ScriptModule, values_of
from rushlight.jit.writing import Writer
from rushlight.nn.modules.module import Module
from rushlight.serialization.rebuild import STORAGE_TYPES
from rushlight.serialization.zip_records import RecordWriter
from rushlight.tensor.memory import Storage
from rushlight.tensor.pickling import storage_array, tensor_window
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor

_VERSION = b"10\n"
_TYPED_LISTS = {
    "List[int]": "build_intlist", "List[float]": "build_doublelist",
    "List[bool]": "build_boollist", "List[Tensor]": "build_tensorlist",
}  # fmt: skip


# ---- pickles -------------------------------------------------------------------------------------


class _Pickle:
    """Objects as opcodes of protocol 2, under the names that TorchScript uses."""

    def __init__(self) -> None:
        self.out = io.BytesIO()
        self.out.write(b"\x80\x02")
        self.storages: list[Storage] = []
        self.memo: dict[int, int] = {}
        self.kept: list[Any] = []

    def finished(self) -> bytes:
        """The pickle."""
        return self.out.getvalue() + b"."

    def _put(self, value: Any) -> None:
        number = self.memo[id(value)] = len(self.memo)
        self.kept.append(value)
        self.out.write(b"r" + struct.pack("<I", number))

    def _global(self, module: str, name: str) -> None:
        self.out.write(f"c{module}\n{name}\n".encode())

    def value(self, value: Any, kind: str = "") -> None:
        """Any value; `kind` is the type that its class gives it."""
        write = self.out.write
        if value is None:
            write(b"N")
        elif value is True or value is False:
            write(b"\x88" if value else b"\x89")
        elif type(value) is int:
            small = -(2**31) <= value < 2**31
            write(b"J" + struct.pack("<i", value) if small else
                  b"\x8a\x08" + struct.pack("<q", value))  # fmt: skip
        elif type(value) is float:
            write(b"G" + struct.pack(">d", value))
        elif type(value) is str:
            data = value.encode()
            write(b"X" + struct.pack("<I", len(data)) + data)
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, Part):
            self._part(value)
        elif isinstance(value, Member):
            module, _, last = value.name.rpartition(".")
            self._global(module, last)
            self.value(value.value)
            write(b"R")  # no tuple around what an enumeration is called with
        elif isinstance(value, device):
            self._global("torch", "device")
            self.value(str(value))
            write(b"\x85R")
        elif isinstance(value, (LoadedModule, ScriptObject)):
            self._object(value)
        elif isinstance(value, tuple):
            write(b"(")
            inside = arguments_of(kind, len(value))
            for part, each in zip(value, inside):
                self.value(part, each)
            write(b"t")
        elif isinstance(value, list):
            self._list(value, kind)
        elif isinstance(value, dict):
            self._dict(value, kind)
        else:
            raise RuntimeError(f"jit.save: a {type(value).__name__} cannot be part of an archive")

    def _list(self, value: list, kind: str) -> None:
        kind = (
            kind.removeprefix("Optional[").removesuffix("]")
            if kind.startswith("Optional[")
            else kind
        )
        builder = _TYPED_LISTS.get(kind)
        self._global("torch.jit._pickle", builder or "restore_type_tag")
        self.out.write(b"(](")
        (element,) = arguments_of(kind, 1)
        for part in value:
            self.value(part, element)
        self.out.write(b"e")
        if builder is None:
            self.value(kind)
        self.out.write(b"tR")

    def _dict(self, value: dict, kind: str) -> None:
        kind = (
            kind.removeprefix("Optional[").removesuffix("]")
            if kind.startswith("Optional[")
            else kind
        )
        self._global("torch.jit._pickle", "restore_type_tag")
        self.out.write(b"(}(")
        _, inside = arguments_of(kind, 2)
        for key, part in value.items():
            self.value(key)
            self.value(part, inside)
        self.out.write(b"u")
        self.value(kind)
        self.out.write(b"tR")

    def _tensor(self, tensor: Tensor) -> None:
        if tensor.dtype not in STORAGE_TYPES:
            raise RuntimeError(f"jit.save: tensors of {tensor.dtype} are not written")
        known = self.memo.get(id(tensor))
        if known is not None:
            self.out.write(b"j" + struct.pack("<I", known))
            return
        storage, offset, size, stride = tensor_window(tensor)
        places = [place for place, known in enumerate(self.storages) if known is storage]
        if not places:
            places = [len(self.storages)]
            self.storages.append(storage)
        self._global("torch._utils", "_rebuild_tensor_v2")
        self.out.write(b"((")
        self.value("storage")
        self._global("torch", STORAGE_TYPES[tensor.dtype].__name__)
        self.value(str(places[0]))
        self.value("cpu")
        self.value(storage.size)
        self.out.write(b"tQ")
        self.value(offset)
        self.value(tuple(size))
        self.value(tuple(stride))
        self.value(current_edge(tensor) is not None)
        self._global("collections", "OrderedDict")
        self.out.write(b")RtR")
        self._put(tensor)

    def _object(self, owner: Any) -> None:
        known = self.memo.get(id(owner))
        if known is not None:
            self.out.write(b"j" + struct.pack("<I", known))
            return
        own = owner.script_class
        if own.method("__getstate__") is not None:
            raise RuntimeError(f"jit.save: {own.qualified_name} packs its own state")
        values = _values_of(owner)
        self.instance(own.qualified_name, values, own.types(), owner)

    def _part(self, part: Part) -> None:
        known = self.memo.get(id(part))
        if known is None:
            self.instance(part.name, part.values, part.types, part)
        else:
            self.out.write(b"j" + struct.pack("<I", known))

    def instance(self, name: str, values: dict[str, Any], types: dict[str, str], key: Any) -> None:
        """An object of a class with these values."""
        module, _, last = name.rpartition(".")
        self._global(module, last)
        self.out.write(b")\x81}(")
        for field, value in values.items():
            self.value(field)
            self.value(value, types.get(field, ""))
        self.out.write(b"ub")
        # PyTorch's reader makes an object when it has its values.
        self._put(key)


def _values_of(owner: Any) -> dict[str, Any]:
    if isinstance(owner, ScriptObject):
        return {name: owner.values[name] for name in owner.script_class.fields}
    return {
        name: owner.value(name)
        for name in owner.script_class.fields
        if name != "training" or not owner.__dict__["script_class"].constants.get("training")
    }


def arguments_of(kind: str, count: int) -> list[str]:
    """The types inside of a type's text; of a type without any as many empty texts."""
    while kind.startswith("Optional["):
        kind = kind[9:-1]
    _, opened, rest = kind.partition("[")
    if not opened:
        return [""] * count
    found, depth = [""], 0
    for letter in rest[:-1]:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [one.strip() for one in found]


# ---- archives ------------------------------------------------------------------------------------


def write_archive(
    target: Any, folder: str, module: Any, extra_files: dict[str, Any] | None
) -> None:
    """Write the archive of a loaded or traced module to a file.

    Raises: RuntimeError for modules whose code cannot be written.
    """
    pickled = _Pickle()
    if isinstance(module, FrozenModule):
        with values_of(module.__dict__["_frozen"], module.__dict__["_constants"]):
            write_archive(target, folder, module.__dict__["_frozen"], extra_files)
        return
    if isinstance(module, LoadedModule):
        unit = module.script_class.unit
        texts = {path: unit.texts[path] for path in unit.texts}
        pickled.value(module)
        constants = unit.constants
    else:
        texts = _write_module(module, pickled)
        constants = ()
    fixed = _Pickle()
    fixed.value(tuple(constants))
    writer = RecordWriter(target, folder)
    writer.write("data.pkl", pickled.finished())
    writer.write("byteorder", b"little")
    for name, text in texts.items():
        writer.write(f"code/{name}", text.encode())
    for place, found in (("data", pickled), ("constants", fixed)):
        for number, storage in enumerate(found.storages):
            writer.write(f"{place}/{number}", storage_array(storage).tobytes())
    writer.write("constants.pkl", fixed.finished())
    for name, content in (extra_files or {}).items():
        data = content if isinstance(content, bytes) else str(content).encode()
        writer.write(f"extra/{name}", data)
    writer.write("version", _VERSION)
    writer.finish()


def _write_module(module: Any, pickled: _Pickle) -> dict[str, str]:
    """The code of a traced or scripted module, whose values go into the pickle."""
    example = getattr(module, "_traced_with", None)
    if example is not None:
        return _write_traced(module, example, pickled)
    if isinstance(module, ScriptFunction):
        unit, name = compile_function(module._function)
        part = Part(name)
        part.values["training"], part.types["training"] = False, "bool"
        pickled.value(part)
        return unit.texts()
    wrapped = module.__dict__.get("_wrapped", module)
    unit, _ = compile_module(wrapped)
    pickled.value(part_of(unit, wrapped))
    return unit.texts()


def _write_traced(module: Any, example: tuple, pickled: _Pickle) -> dict[str, str]:
    args, kwargs = example
    wrapped = (
        module._function if isinstance(module, ScriptFunction) else module.__dict__["_wrapped"]
    )
    recording = record(wrapped, args, kwargs)
    name = type(wrapped).__name__ if isinstance(wrapped, Module) else "PlaceholderModule"
    root = Part(f"__torch__.{name}")
    parts = {"": root}
    _add_modules(wrapped, parts)
    for path, value in recording.values.items():
        if path not in recording.parameters and path not in recording.buffers:
            root.buffers.append(path)
            root.values[path] = value
            root.types[path] = "Tensor"
    texts: dict[str, str] = {}
    for path, part in parts.items():
        file = "/".join(part.name.split(".")[:-1]) + ".py"
        method = "" if path else _forward(recording, root.name)
        texts[file] = texts.get(file, "") + _class_text(part, method)
    pickled.instance(root.name, root.values, root.types, root)
    return texts


def _add_modules(wrapped: Any, parts: dict[str, Part]) -> None:
    """A part for each module, with its parameters, buffers and children."""
    if not isinstance(wrapped, Module):
        parts[""].values["training"], parts[""].types["training"] = False, "bool"
        return
    for number, (path, module) in enumerate(wrapped.named_modules(remove_duplicate=False)):
        if path:
            name = f"__torch__.___torch_mangle_{number}.{type(module).__name__}"
            part = parts[path] = Part(name)
            parent, _, last = path.rpartition(".")
            parts[parent].values[last] = part
            parts[parent].types[last] = name
        part = parts[path]
        part.values["training"], part.types["training"] = module.training, "bool"
        part.values["_is_full_backward_hook"] = None
        part.types["_is_full_backward_hook"] = "Optional[bool]"
        for listed, table in (
            (part.parameters, module._parameters), (part.buffers, module._buffers),
        ):  # fmt: skip
            for name, value in table.items():
                if value is not None:
                    listed.append(name)
                    part.values[name], part.types[name] = value, "Tensor"


def _class_text(part: Part, method: str) -> str:
    lines = [f"class {part.name.rpartition('.')[2]}(Module):"]
    for kind, names in (("parameters", part.parameters), ("buffers", part.buffers)):
        listed = "".join(f"{json.dumps(name)}, " for name in names)
        lines.append(f"  __{kind}__ = [{listed}]")
    for name, kind in part.types.items():
        shown = name if name.isidentifier() else f"__annotations__[{json.dumps(name)}]"
        separator = ":" if name.isidentifier() else "="
        lines.append(f"  {shown} {separator} {kind}")
    return "\n".join(lines) + "\n" + method


def _forward(recording: Recording, name: str) -> str:
    nodes = list(recording.graph.nodes)
    writer = Writer(_attribute)
    writer.write(nodes)
    text, kind = writer.result(recording.result)
    arguments = "".join(f",\n    {given}: Tensor" for given in recording.names)
    lines = [f"  def forward(self: {name}{arguments}) -> {kind}:"]
    lines += [f"    {line}" for line in (*writer.lines, f"return {text}")]
    return "\n".join(lines) + "\n"


def _attribute(path: str) -> str:
    text = "self"
    for name in path.split("."):
        text = f"{text}.{name}" if name.isidentifier() else f"getattr({text}, {json.dumps(name)})"
    return text


def can_be_saved(module: Any) -> bool:
    """Whether the object is of a kind that an archive can hold."""
    return isinstance(module, (ScriptModule, ScriptFunction))
