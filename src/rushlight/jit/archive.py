"""Reading TorchScript's archives: their classes, functions and objects.

In: a zip archive as `torch.jit.save` writes it.  Out: modules whose methods are the archive's code,
translated when it is first called (`translation.py`).  A file is not trusted: its pickles can make
tensors, numbers, text, containers and objects of the archive's own classes, and its code can call
the operators of `operators.py`.  Level: jit (12).
"""

from __future__ import annotations

import ast
import collections
import enum
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from rushlight.base.dtypes import DType
from rushlight.jit.loaded import LoadedModule, ScriptObject
from rushlight.jit.translation import Translator, refusal
from rushlight.serialization.loading import byteorder, locator, read_storage
from rushlight.serialization.names import allowed_names
from rushlight.serialization.rebuild import StorageTable
from rushlight.serialization.restricted_pickle import Constructor, RestrictedUnpickler
from rushlight.serialization.zip_records import RecordReader
from rushlight.tensor.tensor import Tensor

# What a pickle of lists calls, with the list it makes.
_MOST_CODE = 1 << 27  # bytes; a model of some hundred layers has one hundredth of it
_TYPED = ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist")


class ScriptClass:
    """A class of an archive's code.

    kind: "module", "class", "tuple" or "enum".
    """

    def __init__(self, unit: Unit, name: str, node: ast.ClassDef) -> None:
        self.unit, self.qualified_name, self.node = unit, name, node
        bases = {"Module": "module", "NamedTuple": "tuple", "Enum": "enum"}
        base = node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else ""
        self.kind = bases.get(base, "class")
        self.parameters: list[str] = []
        self.buffers: list[str] = []
        self.fields: list[str] = []
        self.constants: dict[str, Any] = {}
        self.definitions: dict[str, ast.FunctionDef] = {}
        self._methods: dict[str, Callable[..., Any]] = {}
        for statement in node.body:
            self._read(statement)
        self.native: Any = None
        if self.kind == "tuple":
            self.native = collections.namedtuple(node.name, self.fields)  # type: ignore[misc]
        elif self.kind == "enum":
            self.native = enum.Enum(node.name, self.constants)  # type: ignore[misc]

    @property
    def name(self) -> str:
        """The name without its module."""
        return self.node.name

    def _read(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.FunctionDef):
            self.definitions[statement.name] = statement
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            if statement.value is None or self.kind == "tuple":
                self.fields.append(name)
            else:
                self.constants[name] = Translator(self.unit).constant(statement.value)
        elif isinstance(statement, ast.Assign):
            self._read_assignment(statement)
        elif not isinstance(statement, (ast.Pass, ast.Expr)):
            raise refusal(statement, f"a {type(statement).__name__} in a class")

    def _read_assignment(self, statement: ast.Assign) -> None:
        (target,) = statement.targets
        if isinstance(target, ast.Name):
            value = Translator(self.unit).constant(statement.value)
            if target.id == "__parameters__":
                self.parameters = [str(name) for name in value]
            elif target.id == "__buffers__":
                self.buffers = [str(name) for name in value]
            elif not target.id.startswith("__"):
                self.constants[target.id] = value
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            self.fields.append(str(target.slice.value))

    def types(self) -> dict[str, str]:
        """The types of the fields, as the code writes them."""
        found = {}
        for statement in self.node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                found[statement.target.id] = ast.unparse(statement.annotation)
        return found

    def method(self, name: str) -> Callable[..., Any] | None:
        """A method as a function of the object; None if the class has none of this name."""
        found = self._methods.get(name)
        if found is None and name in self.definitions:
            found = Translator(self.unit).function(self.definitions[name])
            self._methods[name] = found
        return found

    def new(self) -> Any:
        """An object without values."""
        return LoadedModule(self) if self.kind == "module" else ScriptObject(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.native is not None:
            return self.native(*args, **kwargs)
        made = self.new()
        made.call_method("__init__", *args, **kwargs)
        return made

    def __deepcopy__(self, memo: dict) -> ScriptClass:
        return self

    def restore(self, made: Any, state: Any) -> Any:
        """Give an object the values that its pickle holds."""
        setter = self.method("__setstate__")
        if setter is not None:
            setter(made, state)
            return made
        if type(state) is not dict or not all(type(name) is str for name in state):
            raise pickle.UnpicklingError(f"{self.qualified_name}: the state is no dictionary")
        made.set_values(state)
        return made


class Unit:
    """The code of one archive."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts
        self.constants: tuple = ()
        self._trees: dict[str, dict[str, ast.stmt]] = {}
        self._named: dict[str, Any] = {}

    def _file(self, path: str) -> dict[str, ast.stmt]:
        found = self._trees.get(path)
        if found is None:
            text = self.texts.get(path)
            if text is None:
                raise RuntimeError(f"TorchScript archive: it has no code for {path}")
            try:
                body = ast.parse(text).body
            except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
                raise RuntimeError(f"TorchScript archive: {path} is damaged: {error}") from error
            found = self._trees[path] = {
                node.name: node
                for node in body
                if isinstance(node, (ast.ClassDef, ast.FunctionDef))
            }
        return found

    def named(self, name: str) -> Any:
        """A class or function by its full name.  Raises: RuntimeError if there is none."""
        found = self._named.get(name)
        if found is not None:
            return found
        *module, last = name.split(".")
        if len(module) > 1 and name.count(".") and self._is_member_of_enum(module):
            return self._named[".".join(module)].native[last]
        node = self._file("/".join(module) + ".py").get(last)
        if node is None:
            raise RuntimeError(f"TorchScript archive: it has no {name}")
        made: Any
        if isinstance(node, ast.ClassDef):
            made = ScriptClass(self, name, node)
        else:
            assert isinstance(node, ast.FunctionDef)
            made = ScriptFunctionOfArchive(self, name, node)
        self._named[name] = made
        return made

    def _is_member_of_enum(self, module: list[str]) -> bool:
        *folder, last = module
        path = "/".join(folder) + ".py"
        if path not in self.texts or last not in self._file(path):
            return False
        owner = self.named(".".join(module))
        return isinstance(owner, ScriptClass) and owner.kind == "enum"

    def constant(self, name: str) -> Any:
        """A constant by its name, such as `c0`."""
        number = int(name[1:]) if name[1:].isdigit() else -1
        if not 0 <= number < len(self.constants):
            raise RuntimeError(f"TorchScript archive: it has no constant {name}")
        return self.constants[number]

    # ---- what translated code does with objects ------------------------------------------------

    @staticmethod
    def member(owner: Any, name: str) -> Any:
        """A value of an object.  Raises: RuntimeError for what has no members."""
        if isinstance(owner, (LoadedModule, ScriptObject)):
            return owner.value(name)
        if isinstance(owner, tuple) and name in getattr(owner, "_fields", ()):
            return getattr(owner, name)
        if isinstance(owner, enum.Enum) and name in ("name", "value"):
            return getattr(owner, name)
        raise RuntimeError(f"TorchScript code: a {type(owner).__name__} has no member {name!r}")

    @staticmethod
    def set_member(owner: Any, name: str, value: Any) -> None:
        """Set a value of an object.  Raises: RuntimeError for what has no members."""
        if not isinstance(owner, (LoadedModule, ScriptObject)):
            raise RuntimeError(f"TorchScript code: a {type(owner).__name__} has no members to set")
        owner.set_value(name, value)

    @staticmethod
    def method(owner: Any, name: str) -> Callable[..., Any]:
        """A method of an object of the archive, bound to it."""
        if isinstance(owner, (LoadedModule, ScriptObject)):
            return owner.bound(name)
        if isinstance(owner, Tensor) and name == "tolist":
            return owner.tolist
        raise RuntimeError(f"TorchScript code: a {type(owner).__name__} has no method {name!r}")

    @staticmethod
    def is_instance(value: Any, kinds: tuple) -> bool:
        """Whether a value is of one of the types or of the archive's classes."""
        for kind in kinds:
            if isinstance(kind, ScriptClass):
                own = getattr(value, "script_class", None)
                if own is kind or (kind.native is not None and isinstance(value, kind.native)):
                    return True
            elif kind is int:
                if type(value) is int:
                    return True
            elif isinstance(value, kind):
                return True
        return False

    def __deepcopy__(self, memo: dict) -> Unit:
        return self


class ScriptFunctionOfArchive:
    """A function of an archive, translated at its first call."""

    def __init__(self, unit: Unit, name: str, node: ast.FunctionDef) -> None:
        self.unit, self.qualified_name, self.node = unit, name, node
        self._function: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._function is None:
            self._function = Translator(self.unit).function(self.node)
        return self._function(*args, **kwargs)


class _Names(Mapping[str, Any]):
    """The names that an archive's pickles may use."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.plain: dict[str, Any] = {
            **allowed_names(),
            "torch.jit._pickle.restore_type_tag": Constructor(
                "restore_type_tag", lambda value, kind: value
            ),
            **{
                f"torch.jit._pickle.{name}": Constructor(name, lambda items: items)
                for name in _TYPED
            },
        }

    def __getitem__(self, name: str) -> Any:
        if not name.startswith("__torch__."):
            return self.plain[name]
        found = self.unit.named(name)
        if not isinstance(found, ScriptClass):
            raise KeyError(name)
        if found.native is not None:
            return Constructor(name, found.native, takes_one=found.kind == "enum")
        return Constructor(name, _refuse_call, new=found.new, set_state=found.restore)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name.startswith("__torch__.") or name in self.plain)

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)

    def __len__(self) -> int:
        return len(self.plain)


def _refuse_call(*args: Any) -> Any:
    raise pickle.UnpicklingError("an object of an archive is made without arguments")


def read_archive(source: Any, map_location: Any, extra_files: dict[str, Any] | None) -> Any:
    """The module of an archive.

    extra_files: names of further records wanted, which are filled in.
    Raises: RuntimeError for damaged files and code that is not understood.
    """
    records = RecordReader(source, compressed=True)
    if "constants.pkl" not in records or "data.pkl" not in records:
        raise RuntimeError(
            "jit.load: the file is no TorchScript archive; what torch.save wrote is read by "
            "torch.load"
        )
    unit = Unit(_texts(records))
    swapped = byteorder(records) != sys.byteorder
    locate = locator(map_location)
    names = _Names(unit)

    def objects(record: str, folder: str) -> Any:
        def read(key: str, dtype: DType, count: int) -> np.ndarray:
            return read_storage(records, None, key, dtype, count, swapped, folder)

        table = StorageTable(read, locate)
        return RestrictedUnpickler(records.read(record), names, table.find).load()

    unit.constants = objects("constants.pkl", "constants")
    made = objects("data.pkl", "data")
    for name in list(extra_files or ()):
        if f"extra/{name}" in records:
            assert extra_files is not None
            extra_files[name] = records.read(f"extra/{name}")
    return made


def _texts(records: RecordReader) -> dict[str, str]:
    """The code by file, such as `__torch__/torch/nn/functional.py`."""
    names = [name for name in records if name.startswith("code/") and name.endswith(".py")]
    if sum(records.size(name) for name in names) > _MOST_CODE:
        raise RuntimeError(f"jit.load: the archive has more than {_MOST_CODE} bytes of code")
    return {name[5:]: records.read(name).decode("utf-8", "replace") for name in names}
