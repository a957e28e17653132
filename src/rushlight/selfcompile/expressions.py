"""Python functions to LLVM text: operators, comparisons, displays, comprehensions.  Level 9."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import NamedTuple

from rushlight.selfcompile.layout import Unsupported
from rushlight.selfcompile.text import INTEGER, OBJECT, TRUTH, Join, Value
from rushlight.selfcompile.values import ValueTranslator

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


class Iteration(NamedTuple):
    """cells: with what is iterated over, several for `zip`: lists and tuples themselves, or
    iterators.  places: how far each of the former is.  counter: of `enumerate`, else None."""

    cells: tuple[str, ...]
    places: tuple[str, ...]
    counter: str | None


class ExpressionTranslator(ValueTranslator):
    """Values of expressions other than calls."""

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
        if self.is_keywords(node):
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
            self._decide(node.op, truth, result, decided)
        return t.merge(result, "i1")

    def _decide(self, operator: ast.boolop, truth: str, result: Join, value: str) -> None:
        """Give the value to the result where one operand decides; else go on."""
        t = self.t
        going_on, short = t.new_label(), t.new_label()
        if isinstance(operator, ast.And):
            t.branch(truth, going_on, short)
        else:
            t.branch(truth, short, going_on)
        t.begin(short)
        t.give(result, value)
        t.begin(going_on)

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
            self._decide(node.op, truth, result, name)
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
            self.status(
                "PyObject_SetItem", Value(OBJECT, whole), *self.objects(node.key, node.value)
            )

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
        over = self.iteration(loop.iter)
        inner = sorted({n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)})
        self.touched.update(inner)
        again, end = t.new_label(), t.new_label()
        t.begin(again)
        self.advance(over, loop.target, end)
        for test in loop.ifs:
            good = t.new_label()
            t.branch(self.truth(test), good, again)
            t.begin(good)
        add()
        t.jump(again)
        t.begin(end)
        self.end_iteration(over)
        for name in inner:
            t.clear(self.cells[name])
            self.assigned.discard(name)
        return result

    def is_keywords(self, node: ast.expr) -> bool:
        """Whether it is the name of **keywords."""
        return isinstance(node, ast.Name) and node.id == self.keywords

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

    def iteration(self, node: ast.expr) -> Iteration:
        """Begin to iterate over the value of an expression."""
        t = self.t
        known = self.meaning(node.func) if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and not node.keywords and known in (zip, enumerate):
            if known is zip and len(node.args) > 1 and not self._has_stars(node.args):
                overs = [t.park(self.object(part)) for part in node.args]
                return self._begun(overs, None)
            if known is enumerate and len(node.args) == 1:
                counter = t.variable("i64")
                t.store("-1", counter, "i64")
                return self._begun([self.object(node.args[0])], counter)
        return self._begun([self.object(node)], None)

    @staticmethod
    def _has_stars(nodes: list[ast.expr]) -> bool:
        return any(isinstance(node, ast.Starred) for node in nodes)

    def _begun(self, overs: list[Value], counter: str | None) -> Iteration:
        t = self.t
        cells, places = [], []
        for over in overs:
            cell, place = t.new_cell(), t.variable("i64")
            found = t.call("begin_loop", f"ptr {over.name}")
            t.drop(over)
            t.check(found)
            t.store(found, cell)
            t.store("0", place, "i64")
            cells.append(cell)
            places.append(place)
        return Iteration(tuple(cells), tuple(places), counter)

    def advance(self, loop: Iteration, target: ast.expr, end: str) -> None:
        """Assign the next item; leads to `end` if there is none."""
        t = self.t
        items: list[Value] = []
        for cell, place in zip(loop.cells, loop.places):
            found = t.call("next_of", f"ptr {t.load(cell)}", f"ptr {place}")
            none, some = t.new_label(), t.new_label()
            t.branch(t.is_null(found), none, some)
            t.begin(none)
            for item in items:
                t.clear(str(item.cell))
            t.branch(t.is_null(t.call("PyErr_Occurred")), end, t.failure)
            t.begin(some)
            items.append(Value(OBJECT, found, owned=True))
            if len(loop.cells) > 1:
                items[-1] = t.park(items[-1])
        if loop.counter is not None:
            number = t.define(f"add i64 {t.load(loop.counter, 'i64')}, 1")
            t.store(number, loop.counter, "i64")
            items.insert(0, Value(INTEGER, number))
        if len(items) == 1:
            self.store(target, items[0])
        elif isinstance(target, ast.Tuple) and len(target.elts) == len(items):
            for part, item in zip(target.elts, [t.park(item) for item in items]):
                self.store(part, item)
        else:
            self.store(target, self._tuple_of([self.as_object(item) for item in items]))

    def end_iteration(self, loop: Iteration) -> None:
        """Let go of what was iterated over."""
        for cell in loop.cells:
            self.t.clear(cell)
