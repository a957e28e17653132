"""Python functions to LLVM text: constants, names, attributes, elements, conversions.

An attribute of a known class is read where it lies, after a look at the object's type; everything
else goes through the interpreter's C interface, so an unexpected object costs time and changes
nothing.  Level 9.
"""

from __future__ import annotations

import ast
import threading
from typing import Any

from rushlight.selfcompile.layout import SlotTable, Unsupported
from rushlight.selfcompile.support import Support
from rushlight.selfcompile.text import INTEGER, OBJECT, TRUTH, FunctionText, Value


def _is_literal(value: Any) -> bool:
    if type(value) is tuple:
        return all(_is_literal(part) for part in value)
    if type(value) is float:
        return value == value and abs(value) != float("inf")
    return value is None or type(value) in (bool, int, str, bytes)


def _identity(value: Any) -> tuple:
    """Tells apart what is equal and yet another value: 1, 1.0 and True, 0.0 and -0.0."""
    if type(value) is tuple:
        return (tuple, *map(_identity, value))
    return (type(value), repr(value))


class ValueTranslator:
    """Values of the simplest expressions, and what all others are made with.

    cells: local variables that are objects; integers: those that are machine integers;
    borrowed: arguments nobody assigns to, which the caller holds.
    assigned: locals that certainly have a value here; touched: those that may have had one.
    rest: (name of *arguments, how many come before); keywords: name of **keywords.
    constants: what the text reads from its table: ("name", name), ("value", literal),
        ("class", module, qualified name), ("positional", place) and ("keyword", name) for defaults,
        ("self",) for the function's Python form, ("globals",) for its module's names.
    """

    def __init__(self, text: FunctionText, names: Any, support: Support) -> None:
        self.t = text
        self.names = names
        self.support = support
        self.slots: SlotTable = support.slots
        self.cells: dict[str, str] = {}
        self.integers: dict[str, str] = {}
        self.borrowed: dict[str, str] = {}
        self.assigned: set[str] = set()
        self.touched: set[str] = set()
        self.rest: tuple[str, int] | None = None
        self.rest_cell: str | None = None
        self.keywords: str | None = None
        self.parameters: list[str] = []
        self.constants: list[tuple] = []
        self._indexes: dict[Any, int] = {}
        self._stash: str | None = None

    # ---- constants ---------------------------------------------------------------------------

    def constant_at(self, key: tuple, identity: Any = None) -> str:
        """An entry of the function's table."""
        identity = key if identity is None else identity
        index = self._indexes.get(identity)
        if index is None:
            index = self._indexes[identity] = len(self.constants)
            self.constants.append(key)
        return self.t.at("%constants", 8 * index)

    def constant(self, value: Any) -> Value:
        """A literal: None, a truth, a number, a string, or a tuple of such."""
        if not _is_literal(value):
            raise Unsupported(f"a constant like {value!r}")
        return Value(OBJECT, self.constant_at(("value", value), ("value", _identity(value))))

    def class_(self, cls: type) -> str:
        """A class."""
        return self.constant_at(("class", cls.__module__, cls.__qualname__))

    def default(self, kind: str, place: int | str, value: Any) -> Value:
        """The default of a parameter."""
        if _is_literal(value):
            return self.constant(value)
        return Value(OBJECT, self.constant_at((kind, place)))

    def global_name(self, name: str) -> Value:
        """What a name means outside of the function."""
        if self.names.is_fixed(name):
            self.names.find(name)
            return Value(OBJECT, self.constant_at(("name", name)))
        table = Value(OBJECT, self.constant_at(("globals",)))
        return self.new("PyObject_GetItem", table, self.constant(name))

    def meaning(self, node: ast.expr) -> Any:
        """The object a name of the outside stands for; None if the expression is no such name."""
        if isinstance(node, ast.Name) and not self.is_local(node.id):
            if self.names.is_fixed(node.id):
                return self.names.find(node.id)
        return None

    def is_local(self, name: str) -> bool:
        """Whether a name is the function's own."""
        if name == self.keywords or (self.rest is not None and name == self.rest[0]):
            return True
        return name in self.cells or name in self.integers or name in self.borrowed

    # ---- calls of the interface ----------------------------------------------------------------

    def new(self, function: str, *operands: Value) -> Value:
        """The new object that a C function makes of objects."""
        found = self.t.call(function, *[f"ptr {x.name}" for x in operands])
        for x in operands:
            self.t.drop(x)
        self.t.check(found)
        return Value(OBJECT, found, owned=True)

    def status(self, function: str, *operands: Value) -> str:
        """The i32 that a C function gives, negative for an error."""
        return self._asked(function, *operands)

    def _result(self, found: str, operands: list[Value]) -> Value:
        for x in operands:
            self.t.drop(x)
        self.t.check(found)
        return Value(OBJECT, found, owned=True)

    # ---- conversions -------------------------------------------------------------------------

    def as_object(self, value: Value) -> Value:
        """The value as a Python object."""
        t = self.t
        if value.kind == INTEGER:
            found = t.call("PyLong_FromLongLong", f"i64 {value.name}")
            t.check(found)
            return Value(OBJECT, found, owned=True)
        if value.kind == TRUTH:
            yes, no = self.constant(True), self.constant(False)
            return Value(OBJECT, t.define(f"select i1 {value.name}, ptr {yes.name}, ptr {no.name}"))
        return value

    def as_integer(self, value: Value) -> str:
        """The value as a machine integer; an object must be an int that fits."""
        t = self.t
        if value.kind == INTEGER:
            return value.name
        if value.kind == TRUTH:
            return t.define(f"zext i1 {value.name} to i64")
        failed = t.variable("i1")
        number = t.call("integer_of", f"ptr {value.name}", f"ptr {failed}", kind="i64")
        t.drop(value)
        t.fail_if(t.load(failed, "i1"))
        return number

    def as_truth(self, value: Value) -> str:
        """Whether the value counts as true."""
        t = self.t
        if value.kind == TRUTH:
            return value.name
        if value.kind == INTEGER:
            return t.define(f"icmp ne i64 {value.name}, 0")
        return self._flag(self._asked("truth_of", value))

    def _asked(self, function: str, *operands: Value, extra: tuple[str, ...] = ()) -> str:
        """The i32 that a function gives, negative for an error."""
        found = self.t.call(function, *[f"ptr {x.name}" for x in operands], *extra, kind="i32")
        for x in operands:
            self.t.drop(x)
        self.t.check_status(found)
        return found

    def _flag(self, status: str) -> str:
        return self.t.define(f"icmp ne i32 {status}, 0")

    # ---- expressions -------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Value:
        """The value of an expression."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise Unsupported(f"{type(node).__name__} at line {node.lineno}")
        return method(node)

    def object(self, node: ast.expr) -> Value:
        """The same as a Python object."""
        return self.as_object(self.value(node))

    def values(self, *nodes: ast.expr) -> list[Value]:
        """Values of expressions in turn; those that wait for others are parked."""
        found: list[Value] = []
        for place, node in enumerate(nodes):
            value = self.value(node)
            if any(not self._is_plain(later) for later in nodes[place + 1 :]):
                value = self.t.park(value)
            found.append(value)
        return found

    def objects(self, *nodes: ast.expr) -> list[Value]:
        """The same as Python objects."""
        found: list[Value] = []
        for place, node in enumerate(nodes):
            value = self.object(node)
            if not all(self._is_plain(later, True) for later in nodes[place + 1 :]):
                value = self.t.park(value)
            found.append(value)
        return found

    def _is_plain(self, node: ast.expr, as_object: bool = False) -> bool:
        """Whether evaluating an expression runs nothing that can fail."""
        if isinstance(node, ast.Constant):
            return not (as_object and type(node.value) is int)
        if not isinstance(node, ast.Name):
            return False
        if node.id in self.borrowed:
            return True
        if node.id in self.integers:
            return not as_object
        if node.id in self.cells:
            return node.id in self.assigned
        if node.id == self.keywords or (self.rest is not None and node.id == self.rest[0]):
            return False
        return self.names.is_fixed(node.id) and type(self.names.find(node.id)) is not int

    def passing(self, node: ast.expr) -> Value:
        """The value for use at once, before anything else runs: it need not be held."""
        if isinstance(node, ast.Attribute) and node.attr in self.slots.slots:
            owner = self.passing(node.value)
            return self._slot(self.as_object(owner), node.attr, held=owner.owned)
        return self.value(node)

    def _name(self, node: ast.Name) -> Value:
        t = self.t
        name = node.id
        if name in self.integers:
            return Value(INTEGER, t.load(self.integers[name], "i64"))
        if name in self.borrowed:
            return Value(OBJECT, self.borrowed[name])
        if name in self.cells:
            held = t.load(self.cells[name])
            if name not in self.assigned:
                self._check_bound(name, held)
            return Value(OBJECT, held)
        if self.rest is not None and name == self.rest[0]:
            return self._rest_tuple()
        if name == self.keywords:
            # Calls with keywords went to the Python form.
            return self.new("PyDict_New")
        if self.names.is_fixed(name):
            known = self.names.find(name)
            if type(known) is int:
                return Value(INTEGER, str(known))
        return self.global_name(name)

    def _rest_tuple(self) -> Value:
        """The tuple of *arguments, made at its first use."""
        t = self.t
        assert self.rest is not None and self.rest_cell is not None
        status = t.call(
            "rest", f"ptr {self.rest_cell}", "ptr %args", "i64 %nargs", f"i64 {self.rest[1]}",
            f"i64 {t.layout.tuple_items}", kind="i32",
        )  # fmt: skip
        t.check_status(status)
        return Value(OBJECT, t.load(self.rest_cell))

    def _check_bound(self, name: str, held: str) -> None:
        t = self.t
        unbound, bound = t.new_label(), t.new_label()
        t.branch(t.is_null(held), unbound, bound)
        t.begin(unbound)
        error = self.global_name("UnboundLocalError")
        t.line(f"call void @PyErr_SetObject(ptr {error.name}, ptr {self.constant(name).name})")
        t.fail()
        t.begin(bound)

    def _constant(self, node: ast.Constant) -> Value:
        if type(node.value) is int and abs(node.value) < 1 << 62:
            return Value(INTEGER, str(node.value))
        return self.constant(node.value)

    # ---- attributes --------------------------------------------------------------------------

    def _attribute(self, node: ast.Attribute) -> Value:
        if node.attr == "__class__":
            return self._class_of(node.value)
        own = self._thread_local(node)
        if own is not None:
            return own
        known = node.attr in self.slots.slots
        owner = self.passing(node.value) if known else self.value(node.value)
        return self.attribute(owner, node.attr)

    def _thread_local(self, node: ast.Attribute) -> Value | None:
        """An attribute of a thread's own, if the object is a `threading.local` of the module."""
        known = self.meaning(node.value)
        if not isinstance(known, threading.local):
            return None
        assert isinstance(node.value, ast.Name)
        function = self.support.thread_local(node.value.id, node.attr)
        owner, name = self.value(node.value), self.constant(node.attr)
        return self._result(self.t.call(function, f"ptr {owner.name}", f"ptr {name.name}"), [owner])

    def _class_of(self, node: ast.expr) -> Value:
        """type(x), which the object holds."""
        owner = self.object(node)
        kind = self.t.at(owner.name, self.t.layout.type)
        if owner.owned:
            self.t.retain(kind)
            self.t.drop(owner)
        return Value(OBJECT, kind, owner.owned)

    def attribute(self, owner: Value, name: str) -> Value:
        """An attribute of an object."""
        owner = self.as_object(owner)
        if name in self.slots.slots:
            return self._slot(owner, name, held=True)
        return self.new("PyObject_GetAttr", owner, self.constant(name))

    def _slot(self, owner: Value, name: str, held: bool) -> Value:
        """An attribute that known classes keep at a fixed place.

        held: whether the function gets a reference of its own; else the object keeps it, or, off
        the known classes, a list that lives as long as the function runs.
        """
        t = self.t
        function = self.support.reader(name, held)
        if held:
            return self._result(t.call(function, f"ptr {owner.name}"), [owner])
        if self._stash is None:
            self._stash = t.new_cell()
        found = t.call(function, f"ptr {owner.name}", f"ptr {self._stash}")
        t.check(found)
        return Value(OBJECT, found)

    def store_attribute(self, owner: Value, name: str, value: Value) -> None:
        """Assign to an attribute."""
        if name not in self.slots.slots:
            self.status("PyObject_SetAttr", owner, self.constant(name), value)
            return
        t = self.t
        function = self.support.writer(name)
        status = t.call(function, f"ptr {owner.name}", f"ptr {t.take(value)}", kind="i32")
        t.drop(owner)
        t.check_status(status)

    # ---- elements ----------------------------------------------------------------------------

    def _subscript(self, node: ast.Subscript) -> Value:
        t = self.t
        owner, index = self.values(node.value, node.slice)
        owner = self.as_object(owner)
        if index.kind != INTEGER:
            return self.new("PyObject_GetItem", owner, self.as_object(index))
        found = t.call("element", f"ptr {owner.name}", f"i64 {index.name}")
        return self._result(found, [owner])

    def store_item(self, target: ast.Subscript, value: Value) -> None:
        """Assign to an element."""
        value = self.t.park(value)
        owner, index = self.objects(target.value, target.slice)
        self.status("PyObject_SetItem", owner, index, value)

    def _slice(self, node: ast.Slice) -> Value:
        none = ast.Constant(None)
        return self.new("PySlice_New", *self.objects(*[
            none if part is None else part for part in (node.lower, node.upper, node.step)
        ]))  # fmt: skip

    def unpacked(self, value: Value, count: int) -> tuple[Value, list[Value]]:
        """A sequence of so many as a tuple, to be dropped at last, and its parts."""
        t = self.t
        whole = t.park(self.new("PySequence_Tuple", value))
        size = t.at(whole.name, t.layout.size, "i64")
        good, bad = t.new_label(), t.new_label()
        t.branch(t.define(f"icmp eq i64 {size}, {count}"), good, bad)
        t.begin(bad)
        message = self.constant(f"the values to unpack are not {count}")
        error = self.global_name("ValueError")
        t.line(f"call void @PyErr_SetObject(ptr {error.name}, ptr {message.name})")
        t.fail()
        t.begin(good)
        return whole, [
            Value(OBJECT, t.at(whole.name, t.layout.tuple_items + 8 * i)) for i in range(count)
        ]
