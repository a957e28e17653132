"""Python functions to LLVM text: expressions.

An attribute of a known class is read where it lies, after a look at the object's type; everything
else goes through the interpreter's C interface, so an unexpected object costs time and changes
nothing.  Level 9.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any

from rushlight.base.words import call_released, gather, put_float, put_integer
from rushlight.tape.block import pending_counts
from rushlight.tape.node import Node
from rushlight.selfcompile.layout import SlotTable, Unsupported
from rushlight.selfcompile.support import OBJECT_NEW, Support
from rushlight.selfcompile.text import INTEGER, OBJECT, TRUTH, FunctionText, Value

_OPERATORS = {
    ast.Add: ("PyNumber_Add", "add"), ast.Sub: ("PyNumber_Subtract", "sub"),
    ast.Mult: ("PyNumber_Multiply", "mul"), ast.Div: ("PyNumber_TrueDivide", None),
    ast.FloorDiv: ("PyNumber_FloorDivide", None), ast.Mod: ("PyNumber_Remainder", None),
    ast.LShift: ("PyNumber_Lshift", None), ast.RShift: ("PyNumber_Rshift", None),
    ast.BitAnd: ("PyNumber_And", "and"), ast.BitOr: ("PyNumber_Or", "or"),
}  # fmt: skip
# Number of the comparison in C, and its name for integers.
_COMPARISONS = {
    ast.Lt: (0, "slt"), ast.LtE: (1, "sle"), ast.Eq: (2, "eq"), ast.NotEq: (3, "ne"),
    ast.Gt: (4, "sgt"), ast.GtE: (5, "sge"),
}  # fmt: skip
# The callee may use the place before its arguments.
_OFFSET = 1 << 63


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


class ExpressionTranslator:
    """Values of expressions.

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
            return Value(
                OBJECT, t.define(f"select i1 {value.name}, ptr {yes.name}, ptr {no.name}")
            )
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
        return self.attribute(self.passing(node.value) if known else self.value(node.value), node.attr)

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

    # ---- operators ---------------------------------------------------------------------------

    def _binop(self, node: ast.BinOp) -> Value:
        if isinstance(node.op, ast.Pow):
            x, y = self.objects(node.left, node.right)
            none = Value(OBJECT, self.constant(None).name)
            return self.new("PyNumber_Power", x, y, none)
        if type(node.op) not in _OPERATORS:
            raise Unsupported(type(node.op).__name__)
        function, direct = _OPERATORS[type(node.op)]
        left, right = self.values(node.left, node.right)
        if direct is not None and INTEGER in (left.kind, right.kind):
            if left.kind == right.kind or self._means_integer(node):
                a, b = self.as_integer(left), self.as_integer(right)
                return Value(INTEGER, self.t.define(f"{direct} i64 {a}, {b}"))
        left = self.t.park(self.as_object(left))
        return self.new(function, left, self.as_object(right))

    def _means_integer(self, node: ast.BinOp) -> bool:
        """Whether an operation of an object and a machine integer stays a machine integer: only if
        the integer is a variable, for a literal tells nothing about the other operand."""
        return any(
            isinstance(side, ast.Name) and side.id in self.integers
            for side in (node.left, node.right)
        )

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        t = self.t
        if isinstance(node.op, ast.Not):
            return Value(TRUTH, t.define(f"xor i1 {self.truth(node.operand)}, true"))
        value = self.value(node.operand)
        if value.kind == INTEGER:
            if isinstance(node.op, ast.USub):
                return Value(INTEGER, t.define(f"sub i64 0, {value.name}"))
            if isinstance(node.op, ast.Invert):
                return Value(INTEGER, t.define(f"xor i64 {value.name}, -1"))
        name = {ast.USub: "PyNumber_Negative", ast.Invert: "PyNumber_Invert"}.get(type(node.op))
        if name is None:
            raise Unsupported(type(node.op).__name__)
        return self.new(name, self.as_object(value))

    def _compare(self, node: ast.Compare) -> Value:
        t = self.t
        if len(node.ops) == 1:
            return Value(TRUTH, self._compared(node.left, node.ops[0], node.comparators[0]))
        # A chain: each operand is evaluated once, and none after a comparison that fails.
        done = t.join()
        held = [t.park(self.value(node.left))]
        for operator, right in zip(node.ops, node.comparators):
            held.append(t.park(self.value(right)))
            pair = [value._replace(owned=False, cell=None) for value in held[-2:]]
            truth = self._compared_values(pair[0], operator, pair[1])
            going_on, failed = t.new_label(), t.new_label()
            t.branch(truth, going_on, failed)
            t.begin(failed)
            for value in held:
                if value.owned:
                    t.clear(str(value.cell))
            t.give(done, "false")
            t.begin(going_on)
        for value in held:
            t.drop(value)
        t.give(done, "true")
        return Value(TRUTH, t.merge(done, "i1"))

    def _compared(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
        if isinstance(operator, (ast.Is, ast.IsNot)) and self._is_plain(right):
            return self._compared_values(self.passing(left), operator, self.value(right))
        if isinstance(right, ast.Tuple) and isinstance(operator, (ast.Eq, ast.NotEq)):
            if right.elts and not any(isinstance(e, ast.Starred) for e in right.elts):
                if all(self._is_plain(e) for e in right.elts):
                    return self._compared_with_tuple(left, operator, right.elts)
        x, y = self.values(left, right)
        return self._compared_values(x, operator, y)

    def _compared_with_tuple(
        self, left: ast.expr, operator: ast.cmpop, parts: list[ast.expr]
    ) -> str:
        """`x == (a, b)` without making the tuple, as long as the parts are found equal easily."""
        t = self.t
        x = t.park(self.object(left))
        unequal, ask, inside, sized = (t.new_label() for _ in range(4))
        kind = t.at(x.name, t.layout.type)
        t.branch(t.same(kind, self.class_(tuple)), inside, ask)
        t.begin(inside)
        size = t.at(x.name, t.layout.size, "i64")
        t.branch(t.define(f"icmp eq i64 {size}, {len(parts)}"), sized, unequal)
        t.begin(sized)
        for index, part in enumerate(parts):
            content = t.at(x.name, t.layout.tuple_items + 8 * index)
            value = self.value(part)
            going_on = t.new_label()
            if value.kind == INTEGER:
                other = t.new_label()
                arguments = f"ptr {content}", f"i64 {value.name}"
                found = t.call("is_number", *arguments, kind="i32")
                t.branch(t.define(f"icmp eq i32 {found}, 1"), going_on, other)
                t.begin(other)
                t.branch(t.define(f"icmp eq i32 {found}, 0"), unequal, ask)
            else:
                t.branch(t.same(content, self.as_object(value).name), going_on, ask)
            t.begin(going_on)
        result = t.join()
        t.give(result, "true")
        t.begin(ask)
        whole = self._tuple_of(self.objects(*parts))
        borrowed = Value(OBJECT, x.name)
        t.give(result, self._flag(self._asked("compare", borrowed, whole, extra=("i32 2",))))
        t.begin(unequal)
        t.give(result, "false")
        truth = t.merge(result, "i1")
        t.drop(x)
        return truth if isinstance(operator, ast.Eq) else t.define(f"xor i1 {truth}, true")

    def _compared_values(self, left: Value, operator: ast.cmpop, right: Value) -> str:
        t = self.t
        if isinstance(operator, (ast.Is, ast.IsNot)):
            name = "eq" if isinstance(operator, ast.Is) else "ne"
            x, y = self.as_object(left), self.as_object(right)
            truth = t.define(f"icmp {name} ptr {x.name}, {y.name}")
            t.drop(x)
            t.drop(y)
            return truth
        if isinstance(operator, (ast.In, ast.NotIn)):
            left = t.park(self.as_object(left))
            found = self.status("PySequence_Contains", self.as_object(right), left)
            wanted = "ne" if isinstance(operator, ast.In) else "eq"
            return t.define(f"icmp {wanted} i32 {found}, 0")
        number, name = _COMPARISONS[type(operator)]
        if left.kind == right.kind == INTEGER:
            return t.define(f"icmp {name} i64 {left.name}, {right.name}")
        x = t.park(self.as_object(left))
        y = self.as_object(right)
        if name not in ("eq", "ne"):
            return self._flag(self._asked("compare", x, y, extra=(f"i32 {number}",)))
        if name == "ne":
            return self._flag(self._asked("unequal", x, y))
        return self._flag(self._asked("equal", x, y))

    def truth(self, node: ast.expr) -> str:
        """Whether an expression counts as true; what it need not evaluate it does not."""
        t = self.t
        if self._is_keywords(node):
            return "false"
        if not isinstance(node, ast.BoolOp):
            return self.as_truth(self.passing(node))
        result = t.join()
        decided = "false" if isinstance(node.op, ast.And) else "true"
        for position, part in enumerate(node.values):
            truth = self.truth(part)
            if position + 1 == len(node.values):
                t.give(result, truth)
                break
            going_on, short = t.new_label(), t.new_label()
            if decided == "false":
                t.branch(truth, going_on, short)
            else:
                t.branch(truth, short, going_on)
            t.begin(short)
            t.give(result, decided)
            t.begin(going_on)
        return t.merge(result, "i1")

    def _boolop(self, node: ast.BoolOp) -> Value:
        t = self.t
        result = t.join()
        for position, part in enumerate(node.values):
            name = t.take(self.object(part))
            if position + 1 == len(node.values):
                t.give(result, name)
                break
            held = t.park(Value(OBJECT, name, owned=True))
            truth = self.as_truth(Value(OBJECT, name))
            t.take(held)
            going_on, short = t.new_label(), t.new_label()
            if isinstance(node.op, ast.And):
                t.branch(truth, going_on, short)
            else:
                t.branch(truth, short, going_on)
            t.begin(short)
            t.give(result, name)
            t.begin(going_on)
            t.release(name)
        return Value(OBJECT, t.merge(result), owned=True)

    def _ifexp(self, node: ast.IfExp) -> Value:
        t = self.t
        truth = self.truth(node.test)
        yes, no = t.new_label(), t.new_label()
        result = t.join()
        t.branch(truth, yes, no)
        for label, part in ((yes, node.body), (no, node.orelse)):
            t.begin(label)
            t.give(result, t.take(self.object(part)))
        return Value(OBJECT, t.merge(result), owned=True)

    # ---- displays ----------------------------------------------------------------------------

    def _tuple(self, node: ast.Tuple) -> Value:
        if any(isinstance(part, ast.Starred) for part in node.elts):
            return self._tuple_with_stars(node.elts)
        return self._tuple_of(self.objects(*node.elts))

    def _tuple_of(self, parts: list[Value]) -> Value:
        t = self.t
        if not parts:
            return self.constant(())
        parts = [t.park(part) for part in parts]
        whole = t.call("PyTuple_New", f"i64 {len(parts)}")
        t.check(whole)
        for index, part in enumerate(parts):
            t.store(t.take(part), t.place(whole, t.layout.tuple_items + 8 * index))
        return Value(OBJECT, whole, owned=True)

    def _tuple_with_stars(self, parts: list[ast.expr]) -> Value:
        t = self.t
        whole = self.constant(())
        plain: list[ast.expr] = []
        for part in [*parts, None]:
            if part is not None and not isinstance(part, ast.Starred):
                plain.append(part)
                continue
            if plain:
                more = self._tuple_of(self.objects(*plain))
                whole = t.park(self.new("PySequence_Concat", whole, more))
                plain = []
            if isinstance(part, ast.Starred):
                more = self.new("PySequence_Tuple", self.object(part.value))
                whole = t.park(self.new("PySequence_Concat", whole, more))
        return whole

    def _list(self, node: ast.List) -> Value:
        t = self.t
        if any(isinstance(part, ast.Starred) for part in node.elts):
            return self.new("PySequence_List", self._tuple_with_stars(node.elts))
        whole = t.call("PyList_New", "i64 0")
        t.check(whole)
        result = t.park(Value(OBJECT, whole, owned=True))
        for part in node.elts:
            self.append(Value(OBJECT, whole), self.object(part))
        return result

    def append(self, whole: Value, item: Value) -> None:
        """Add to a list."""
        self.status("PyList_Append", whole, item)

    def _dict(self, node: ast.Dict) -> Value:
        t = self.t
        whole = t.call("PyDict_New")
        t.check(whole)
        result = t.park(Value(OBJECT, whole, owned=True))
        for key, item in zip(node.keys, node.values):
            if key is None:
                raise Unsupported("** in a dictionary")
            self.status("PyObject_SetItem", Value(OBJECT, whole), *self.objects(key, item))
        return result

    def _listcomp(self, node: ast.ListComp) -> Value:
        whole = self.t.call("PyList_New", "i64 0")

        def add() -> None:
            self.append(Value(OBJECT, whole), self.object(node.elt))

        return self._comprehension(whole, node.generators, add)

    def _dictcomp(self, node: ast.DictComp) -> Value:
        whole = self.t.call("PyDict_New")

        def add() -> None:
            self.status("PyObject_SetItem", Value(OBJECT, whole), *self.objects(node.key, node.value))

        return self._comprehension(whole, node.generators, add)

    def _comprehension(
        self, whole: str, generators: list[ast.comprehension], add: Callable[[], None]
    ) -> Value:
        """whole: the new list or dictionary; add: writes the adding of one element."""
        t = self.t
        if len(generators) != 1 or generators[0].is_async:
            raise Unsupported("several loops in a comprehension")
        (loop,) = generators
        t.check(whole)
        result = t.park(Value(OBJECT, whole, owned=True))
        iterator = self.iterator(loop.iter)
        inner = sorted({n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)})
        self.touched.update(inner)
        again, end = t.new_label(), t.new_label()
        t.begin(again)
        self.store(loop.target, self.next_item(iterator, end))
        for test in loop.ifs:
            good = t.new_label()
            t.branch(self.truth(test), good, again)
            t.begin(good)
        add()
        t.jump(again)
        t.begin(end)
        t.clear(iterator)
        for name in inner:
            t.clear(self.cells[name])
            self.assigned.discard(name)
        return result

    def store(self, target: ast.expr, value: Value) -> None:
        """Assign; a reference that is owned becomes the target's."""
        raise NotImplementedError

    def _joinedstr(self, node: ast.JoinedStr) -> Value:
        t = self.t
        whole = self.constant("")
        for part in node.values:
            if isinstance(part, ast.Constant):
                piece = self.constant(part.value)
            else:
                assert isinstance(part, ast.FormattedValue)
                piece = self.object(part.value)
                if part.conversion == ord("r"):
                    piece = self.new("PyObject_Repr", piece)
                elif part.conversion != -1:
                    raise Unsupported("a conversion in an f-string")
                form = Value(OBJECT, "null")
                if part.format_spec is not None:
                    piece = t.park(piece)
                    form = self.object(part.format_spec)
                piece = self.new("PyObject_Format", piece, form)
            whole = t.park(self.new("PyUnicode_Concat", whole, piece))
        return whole

    # ---- loops -------------------------------------------------------------------------------

    def iterator(self, node: ast.expr) -> str:
        """A cell with an iterator over the value of an expression."""
        t = self.t
        cell = t.new_cell()
        t.store(self.new("PyObject_GetIter", self.object(node)).name, cell)
        return cell

    def next_item(self, iterator: str, end: str) -> Value:
        """The next item; leads to `end` if there is none."""
        t = self.t
        item = t.call("PyIter_Next", f"ptr {t.load(iterator)}")
        none, some = t.new_label(), t.new_label()
        t.branch(t.is_null(item), none, some)
        t.begin(none)
        t.branch(t.is_null(t.call("PyErr_Occurred")), end, t.failure)
        t.begin(some)
        return Value(OBJECT, item, owned=True)

    # ---- calls -------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Value:
        if self._passes_rest(node):
            return self._call_with_rest(node)
        if any(isinstance(a, ast.Starred) for a in node.args) or any(
            k.arg is None for k in node.keywords
        ):
            return self._call_with_star(node)
        special = self._special_call(node)
        if special is not None:
            return special
        keywords = [k.value for k in node.keywords]
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr not in self.slots.slots:
            if function.attr == "append" and len(node.args) == 1 and not keywords:
                return self._append_call(*self.objects(function.value, node.args[0]))
            given = self.objects(function.value, *node.args, *keywords)
            name = self.constant(function.attr)
            return self._vectorcall("PyObject_VectorcallMethod", name, given, node.keywords)
        called, *given = self.objects(function, *node.args, *keywords)
        return self._vectorcall("PyObject_Vectorcall", called, given, node.keywords)

    def _vectorcall(
        self, entry: str, function: Value, given: list[Value], keywords: list[ast.keyword]
    ) -> Value:
        t = self.t
        t.longest_call = max(t.longest_call, len(given))
        for index, argument in enumerate(given):
            place = t.define(f"getelementptr ptr, ptr %argv, i64 {index + 1}")
            t.store(argument.name, place)
        names = "null"
        if keywords:
            names = self.constant(tuple(str(k.arg) for k in keywords)).name
        first = t.define("getelementptr ptr, ptr %argv, i64 1")
        count = (len(given) - len(keywords)) | _OFFSET
        found = t.call(
            entry, f"ptr {function.name}", f"ptr {first}", f"i64 {count}", f"ptr {names}"
        )
        return self._result(found, [function, *given])

    def _append_call(self, owner: Value, item: Value) -> Value:
        self._asked("append", owner, item)
        return self.constant(None)

    def _special_call(self, node: ast.Call) -> Value | None:
        """Calls of a few built-in functions, which need no call."""
        t = self.t
        known = self.meaning(node.func)
        if known is None or node.keywords:
            return None
        if known is len and len(node.args) == 1:
            return self._length(node.args[0])
        if known is type and len(node.args) == 1:
            return self._class_of(node.args[0])
        if known is sys.getrefcount and len(node.args) == 1:
            return self._count_of(node.args[0])
        intrinsic = {
            put_integer: self._put_integer, put_float: self._put_float,
            gather: self._gather, call_released: self._call_released,
        }.get(known) if isinstance(known, FunctionType) else None  # fmt: skip
        if intrinsic is not None:
            intrinsic(*node.args)
            return self.constant(None)
        if known is pending_counts:
            nodes = self.object(node.args[0])
            return self._result(t.call(self.support.counter(Node), f"ptr {nodes.name}"), [nodes])
        if known is isinstance and len(node.args) == 2:
            return self._isinstance(node)
        if known is tuple and len(node.args) == 1 and isinstance(node.args[0], ast.ListComp):
            return self.new("PyList_AsTuple", self.value(node.args[0]))
        if known is object.__new__ and len(node.args) == 1:
            cls = self.value(node.args[0])
            arguments = f"ptr {cls.name}", f"ptr {self.constant(()).name}", "ptr null"
            return self._result(t.call(OBJECT_NEW, *arguments), [cls])
        return None

    def _count_of(self, node: ast.expr) -> Value:
        """References to an object as the interpreter counts them, the argument's included."""
        t = self.t
        value = self.object(node)
        count = t.at(value.name, t.layout.count, "i64")
        t.drop(value)
        return Value(INTEGER, count if value.owned else t.define(f"add i64 {count}, 1"))

    def _word_at(self, words: Value, place: str) -> str:
        """Address of one of `Words`; the value is borrowed."""
        t = self.t
        base = self.as_integer(self.attribute(words, "address"))
        pointer = t.define(f"inttoptr i64 {base} to ptr")
        return t.define(f"getelementptr i64, ptr {pointer}, i64 {place}")

    def _put_integer(self, words: ast.expr, place: ast.expr, value: ast.expr) -> None:
        t = self.t
        given, position, number = self.values(words, place, value)
        place_name, word = self.as_integer(position), self.as_integer(number)
        t.store(word, self._word_at(given._replace(owned=False), place_name), "i64")
        t.drop(given)

    def _put_float(self, words: ast.expr, place: ast.expr, value: ast.expr) -> None:
        t = self.t
        given, position, number = self.values(words, place, value)
        given, place_name = t.park(given), self.as_integer(position)
        number = self.as_object(number)
        found = t.call("PyFloat_AsDouble", f"ptr {number.name}", kind="double")
        t.drop(number)
        unsure, good = t.new_label(), t.new_label()
        t.branch(t.define(f"fcmp oeq double {found}, -1.0"), unsure, good)
        t.begin(unsure)
        t.branch(t.is_null(t.call("PyErr_Occurred")), good, t.failure)
        t.begin(good)
        t.store(found, self._word_at(given._replace(owned=False), place_name), "double")
        t.drop(given)

    def _gather(self, *nodes: ast.expr) -> None:
        t = self.t
        words = [t.park(self.object(node)) for node in nodes[:3]]
        count = self.as_integer(self.value(nodes[3]))
        addresses = [
            self.as_integer(self.attribute(value._replace(owned=False), "address"))
            for value in words
        ]
        arguments = ", ".join(f"i64 {word}" for word in (*addresses, count))
        t.line(f"call void @gather({arguments})")
        for value in words:
            t.drop(value)

    def _call_released(self, *nodes: ast.expr) -> None:
        t = self.t
        values = self.values(*nodes[1:])
        address, x, y, z = [self.as_integer(value) for value in values]
        function = t.define(f"inttoptr i64 {address} to ptr")
        thread = t.call("PyEval_SaveThread")
        t.line(f"call void {function}(i64 {x}, i64 {y}, i64 {z})")
        t.line(f"call void @PyEval_RestoreThread(ptr {thread})")

    def _length(self, node: ast.expr) -> Value:
        t = self.t
        over = self.object(node)
        size = t.call("length", f"ptr {over.name}", kind="i64")
        t.drop(over)
        t.check_status(size, "i64")
        return Value(INTEGER, size)

    def _isinstance(self, node: ast.Call) -> Value:
        return Value(TRUTH, self._flag(self._asked("instance_of", *self.objects(*node.args))))

    def _passes_rest(self, node: ast.Call) -> bool:
        if self.rest is None:
            return False
        if not node.args or not isinstance(node.args[-1], ast.Starred):
            return False
        last = node.args[-1].value
        return isinstance(last, ast.Name) and last.id == self.rest[0]

    def _call_with_rest(self, node: ast.Call) -> Value:
        """`f(a, b, *rest, **keywords)` where a, b are the parameters before `rest`: the same call
        once more, since keywords that were given lead to the Python form."""
        assert self.rest is not None
        t = self.t
        rest, before = self.rest
        given = [a.id if isinstance(a, ast.Name) else "" for a in node.args[:-1]]
        passed = all(
            k.arg is None and isinstance(k.value, ast.Name) and k.value.id == self.keywords
            for k in node.keywords
        )
        skipped = before - len(given)
        same = given == self.parameters[skipped:before] and skipped >= 0
        if not passed or not same or any(name not in self.borrowed for name in given):
            return self._call_with_star(node)
        function = self.object(node.func)
        first = t.define(f"getelementptr ptr, ptr %args, i64 {skipped}")
        count = t.define(f"sub i64 %nargs, {skipped}")
        arguments = f"ptr {function.name}", f"ptr {first}", f"i64 {count}", "ptr null"
        return self._result(t.call("PyObject_Vectorcall", *arguments), [function])

    def _is_keywords(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self.keywords

    def _call_with_star(self, node: ast.Call) -> Value:
        # **keywords is empty here, for calls with keywords went to the Python form.
        if any(k.arg is not None or not self._is_keywords(k.value) for k in node.keywords):
            raise Unsupported("a star and keywords in one call")
        function = self.t.park(self.object(node.func))
        arguments = self._tuple_with_stars(list(node.args))
        found = self.t.call(
            "PyObject_Call", f"ptr {function.name}", f"ptr {arguments.name}", "ptr null"
        )
        return self._result(found, [function, arguments])
