"""One compilation: the functions, classes and modules that an archive's code needs.

In: a module or a function.  Out: `texts`, the files of the archive's code by their paths, and
`classes`, which say of each module what its pickle holds.  A function is compiled when it is first
called; modules of one structure share a class, as in PyTorch.  Level: jit (12).
"""

from __future__ import annotations

import enum
import re
import textwrap
import types
import typing
from dataclasses import dataclass
from typing import Any

from rushlight.jit.compiler.concrete import Attribute, Concrete, concrete_of, key_of, unwrapped
from rushlight.jit.compiler.frontend import Source
from rushlight.jit.compiler.library_forms import LISTS, METHODS
from rushlight.jit.compiler.signatures import Signature, signature_of
from rushlight.jit.compiler.statements import FunctionCompiler, definition
from rushlight.jit.compiler.types import (
    NONE,
    STR,
    TENSOR,
    Type,
    list_of,
    of_annotation,
    of_value,
)
from rushlight.jit.compiler.values import (
    Method,
    ModuleMethod,
    ModuleValue,
    PythonObject,
    Sequence,
    Text,
    literal,
    quoted,
)
from rushlight.nn.modules import container
from rushlight.nn.modules.module import Module
from rushlight.overrides.interception import python_form
from rushlight.tensor.grad_mode import enable_grad, no_grad

_CONTEXT = """class {name}:
  prev : bool
  def __init__(self: {full}) -> NoneType:
    self.prev = False
    return None
  def __enter__(self: {full}) -> NoneType:
    self.prev = torch.is_grad_enabled()
    torch.set_grad_enabled({on})
    return None
  def __exit__(self: {full},
      exc_type: Any,
      exc_value: Any,
      traceback: Any) -> NoneType:
    torch.set_grad_enabled(self.prev)
    return None
"""


@dataclass
class Compiled:
    """A function or method: the name that calls use, and its signature; text when it is done."""

    name: str
    signature: Signature
    text: str = ""


class Unit:
    """All that one archive's code consists of."""

    def __init__(self) -> None:
        self.functions: dict[int, Compiled] = {}
        self.kept: list[Any] = []
        self.named: dict[type, tuple[Type, str]] = {}
        self.contexts: dict[str, str] = {}
        self.concretes: dict[Any, Concrete] = {}
        self.of_module: dict[int, Concrete] = {}
        self.taken: set[str] = set()
        self.mangled = 0

    # ---- names ---------------------------------------------------------------------------------

    def fresh_name(self, module: str, name: str) -> str:
        """A full name that nothing else has yet."""
        parts = [re.sub(r"\W", "_", part) for part in module.split(".") if part != "__main__"]
        if parts[:1] == ["rushlight"]:
            parts[0] = "torch"
        parts = [f"_{part}" if part[:1].isdigit() else part for part in parts]
        name = re.sub(r"\W", "_", name)
        full = ".".join(["__torch__", *parts, name])
        while full in self.taken:
            full = ".".join(["__torch__", *parts, f"___torch_mangle_{self.mangled}", name])
            self.mangled += 1
        self.taken.add(full)
        return full

    # ---- types ---------------------------------------------------------------------------------

    def class_type(self, python: type) -> Type | None:
        """The type of a named tuple or an enumeration; None for other classes."""
        found = self.named.get(python)
        if found is not None:
            return found[0]
        if issubclass(python, tuple) and hasattr(python, "_fields"):
            return self._named_tuple(python)
        if issubclass(python, enum.Enum):
            return self._enumeration(python)
        return None

    def _named_tuple(self, python: Any) -> Type | None:
        try:
            annotations = typing.get_type_hints(python)
        except Exception:
            annotations = dict(getattr(python, "__annotations__", {}))
        kinds = []
        for field in python._fields:
            kind = TENSOR if field not in annotations else self.annotated(annotations[field])
            if kind is None:
                return None
            kinds.append(kind)
        name = self.fresh_name(python.__module__, python.__name__)
        made = Type(name, tuple(kinds), tuple(python._fields), "tuple")
        lines = "".join(f"  {field} : {kind}\n" for field, kind in zip(made.fields, kinds))
        self.named[python] = made, f"class {python.__name__}(NamedTuple):\n{lines}"
        return made

    def _enumeration(self, python: type[enum.Enum]) -> Type | None:
        values = [member.value for member in python]
        kinds = {of_value(value, self.class_type) for value in values}
        if len(kinds) != 1 or next(iter(kinds)) is None:
            return None
        name = self.fresh_name(python.__module__, python.__name__)
        made = Type(name, (typing.cast(Type, kinds.pop()),), (), "enum")
        lines = "".join(f"  {member.name} = {literal(member.value)}\n" for member in python)
        self.named[python] = made, f"class {python.__name__}(Enum):\n{lines}"
        return made

    def annotated(self, annotation: Any) -> Type | None:
        """The type that an annotation names."""
        return of_annotation(annotation, self.class_type)

    def context_class(self, python: Any) -> str | None:
        """The class of a context that serialized code can enter."""
        for known, on in ((no_grad, False), (enable_grad, True)):
            if python is known:
                name = known.__name__
                full = f"__torch__.torch.autograd.grad_mode.{name}"
                self.contexts[full] = _CONTEXT.format(name=name, full=full, on=on)
                return full
        return None

    # ---- functions -----------------------------------------------------------------------------

    def function(self, function: Any) -> Compiled:
        """A function of the program, compiled."""
        source = Source(function)
        found = self.functions.get(id(source.function))
        if found is None:
            name = self.fresh_name(source.function.__module__, source.function.__name__)
            signature = signature_of(source, self.class_type, False)
            found = self.functions[id(source.function)] = Compiled(name, signature)
            self.kept.append(source.function)
            self._compile(found, source, None, 0)
        elif not found.text:
            raise RuntimeError(
                f"jit.save: function '{found.name.rpartition('.')[2]}' is called recursively. "
                f"Recursive calls are not supported; write a loop\n{source.where(source.tree)}"
            )
        return found

    def signature(self, function: Any) -> Signature:
        """What a function's annotations say."""
        source = Source(function)
        is_method = source.tree.args.args[:1] != [] and source.tree.args.args[0].arg == "self"
        return signature_of(source, self.class_type, is_method)

    def _compile(
        self, made: Compiled, source: Source, owner: ModuleValue | None, indent: int
    ) -> None:
        compiler = FunctionCompiler(self, source, made.signature, owner)
        try:
            compiler.compile()
        except RecursionError as error:
            raise RuntimeError(
                f"jit.save: {made.name} is nested too deeply to be compiled"
            ) from error
        except RuntimeError as error:
            note = f"'{made.name.rpartition('.')[2]}' is being compiled for the archive"
            if note not in str(error) and str(error).count("is being compiled") < 3:
                raise type(error)(f"{error}\n{note}") from error
            raise
        last = made.name.rpartition(".")[2]
        class_name = "" if owner is None else owner.concrete.name
        made.text = definition(last, class_name, made.signature, compiler.lines, indent)

    # ---- modules -------------------------------------------------------------------------------

    def concrete(self, module: Module) -> Concrete:
        """The structure of a module, shared by all of the same structure."""
        module = unwrapped(module)
        found = self.of_module.get(id(module))
        if found is not None:
            return found
        made = concrete_of(self, module)
        key = key_of(made)
        found = self.concretes.get(key)
        if found is None:
            found = self.concretes[key] = made
            made.name = self.fresh_name(type(module).__module__, type(module).__name__)
        self.of_module[id(module)] = found
        self.kept.append(module)
        return found

    def children(self, value: ModuleValue, node: Any, compiler: Any) -> list[Any]:
        """The modules of a container, in order."""
        concrete = value.concrete
        if not isinstance(concrete.module, (container.ModuleList, container.Sequential)):
            if isinstance(concrete.module, container.ModuleDict):
                return [compiler.static(name, node) for name in concrete.children]
            if isinstance(concrete.module, container.ParameterList):
                return [self.attribute(compiler, value, name, node) for name in concrete.attributes
                        if name.isdigit()]  # fmt: skip
            raise compiler.refuse(
                node, f"'{type(concrete.module).__name__}' object is not iterable; only "
                "ModuleList, Sequential and ModuleDict are"
            )  # fmt: skip
        return [self.child(value, name) for name in concrete.children]

    def child(self, owner: ModuleValue, name: str) -> ModuleValue:
        """A submodule as a value."""
        text = (f"{owner.text}.{name}" if name.isidentifier() else
                f'getattr({owner.text}, "{name}")')  # fmt: skip
        return ModuleValue(text, owner.concrete.children[name])

    def attribute(self, compiler: Any, owner: ModuleValue, name: str, node: Any) -> Any:
        """An attribute of a module as a value.  Raises: RuntimeError if it has none."""
        concrete = owner.concrete
        module = concrete.module
        if name in concrete.children:
            return self.child(owner, name)
        if name in concrete.attributes:
            return self._read(concrete.attributes[name], owner, name)
        if name in concrete.constants:
            return compiler.static(concrete.constants[name], node)
        if name in concrete.functions:
            return PythonObject(concrete.functions[name])
        if name in concrete.failed:
            raise compiler.refuse(
                node, f"Module '{type(module).__name__}' has no attribute '{name}' (This attribute "
                f"exists on the Python module, but we failed to convert Python type: "
                f"'{type(getattr(module, name)).__name__}' to a TorchScript type. "
                f"{concrete.failed[name]})"
            )  # fmt: skip
        if isinstance(module, container.ModuleDict) and name in ("items", "keys", "values"):
            return Method(owner, name)
        for one in type(module).__mro__:
            listed = LISTS.get(one, {}).get(name)
            if listed is not None:
                inside = ", ".join(f"{owner.text}.{each}" for each in getattr(module, listed))
                return Text(f"[{inside}]", list_of(TENSOR))
            form = METHODS.get(one, {}).get(name)
            if form is not None:
                return ModuleMethod(owner, form, name)
            if name in vars(one):
                return self._of_class(compiler, owner, name, vars(one)[name], node)
        raise compiler.refuse(node, f"Module '{type(module).__name__}' has no attribute '{name}'")

    @staticmethod
    def _of_class(compiler: Any, owner: ModuleValue, name: str, found: Any, node: Any) -> Any:
        """A method, property or value of a module's class."""
        if isinstance(found, property) and found.fget is not None:
            return compiler.call(ModuleMethod(owner, found.fget, name), [], {}, node)
        if isinstance(found, staticmethod):
            return PythonObject(found.__func__)
        if python_form(found) is not None or isinstance(found, types.FunctionType):
            return ModuleMethod(owner, found, name)
        return compiler.static(found, node)

    def view(self, owner: ModuleValue, name: str) -> Sequence:
        """`items`, `keys` or `values` of a ModuleDict."""
        children = owner.concrete.children
        keys = [Text(quoted(key), STR, key) for key in children]
        values = [self.child(owner, key) for key in children]
        parts: dict[str, list[Any]] = {
            "keys": keys, "values": values,
            "items": [Sequence([k, v]) for k, v in zip(keys, values)],
        }  # fmt: skip
        return Sequence(parts[name])

    @staticmethod
    def _read(attribute: Attribute, owner: ModuleValue, name: str) -> Text:
        if attribute.type == NONE:
            return Text("None", NONE, None)
        text = f"{owner.text}.{name}" if name.isidentifier() else f'getattr({owner.text}, "{name}")'
        return Text(text, attribute.type)

    def set_attribute(self, compiler: Any, owner: ModuleValue, name: str, node: Any) -> Type:
        """The type of an attribute that code sets."""
        attribute = owner.concrete.attributes.get(name)
        if attribute is None:
            module = type(owner.concrete.module).__name__
            if name in owner.concrete.constants:
                raise compiler.refuse(
                    node, f"{module}.{name} is a constant and cannot be set; don't mark it Final"
                )
            raise compiler.refuse(
                node, f"Tried to set nonexistent attribute: {name}. Did you forget to initialize "
                f"it in __init__() of {module}?"
            )  # fmt: skip
        return attribute.type

    def method(
        self, concrete: Concrete, function: Any, name: str, compiler: Any = None, node: Any = None
    ) -> Compiled:
        """A method of a module's class, compiled when it is first asked for."""
        source = Source(function)
        found = concrete.methods.get(id(source.function))
        if found is not None:
            return found
        taken = {one.name for one in concrete.methods.values()}
        chosen, number = name, 0
        while chosen in taken:
            chosen, number = f"{name}__{number}", number + 1
        signature = signature_of(source, self.class_type, True)
        made = concrete.methods[id(source.function)] = Compiled(chosen, signature)
        self.kept.append(source.function)
        self._compile(made, source, ModuleValue("self", concrete), 2)
        return made

    # ---- texts ---------------------------------------------------------------------------------

    def texts(self) -> dict[str, str]:
        """The files of the code."""
        files: dict[str, str] = {}

        def add(full: str, text: str) -> None:
            path = "/".join(full.split(".")[:-1]) + ".py"
            files[path] = files.get(path, "") + text

        for concrete in self.concretes.values():
            add(concrete.name, concrete.text())
        for kind, text in self.named.values():
            add(kind.name, text)
        for full, text in self.contexts.items():
            add(full, text)
        for compiled in self.functions.values():
            add(compiled.name, compiled.text)
        return files


def method_text(module: Module, name: str = "forward") -> str:
    """The text of a module's method, as an archive holds it."""
    _unit, root = compile_module(module)
    found = next((one for one in root.methods.values() if one.name == name), None)
    if found is None:
        raise AttributeError(f"'{type(module).__name__}' has no compiled method '{name}'")
    return textwrap.dedent(found.text.replace(f"self: {root.name}", "self"))


def function_text(function: Any) -> str:
    """The text of a function, as an archive holds it."""
    return Unit().function(function).text


def compile_module(module: Module) -> tuple[Unit, Concrete]:
    """Compile `forward` and the exported methods of a module and of all modules in it.

    Raises: FrontendError or RuntimeError for what TorchScript does not have.
    """
    unit = Unit()
    root = unit.concrete(module)
    for concrete in list(unit.concretes.values()):
        for name, function in concrete.exported():
            unit.method(concrete, function, name)
    return unit, root


def compile_function(function: Any) -> tuple[Unit, str]:
    """Compile a function as the `forward` of a module without values: (code, class's name).

    Raises: FrontendError or RuntimeError for what TorchScript does not have.
    """
    unit = Unit()
    compiled = unit.function(function)
    name = unit.fresh_name("__main__", "PlaceholderModule")
    parameters = compiled.signature.parameters
    given = ", ".join(parameter.name for parameter in parameters)
    forward = definition(
        "forward", name, compiled.signature, [f"return {compiled.name}({given})"], 2
    )
    unit.contexts[name] = f"""class {name.rpartition(".")[2]}(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
{forward}"""
    return unit, name
